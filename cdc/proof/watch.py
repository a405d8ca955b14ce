"""The drift watch: the daemon's own, unhurried proof, and what becomes of what it finds.

Each pass compares the keys that changed since the last one, and the ranges whose proof is oldest. A
difference that a later pass finds again, while the row is still, is drift: an alarm.
"""

import logging
import time
from datetime import timedelta
from functools import partial
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.errors import CdcError
from cdc.logs import fields
from cdc.postgres.connection import Connection, Target
from cdc.proof import drift, runs
from cdc.proof.outcome import SourceOutcome
from cdc.proof.request import Request
from cdc.proof.source import ProofStopped
from cdc.proof.sources import SourceProof
from cdc.stop import Stop

log = logging.getLogger(__name__)

SHARE: Final = 0.05
"""How much of the time a pass may hold SQLite's lock, or keep a core busy; it rests in between."""


REST_SECONDS: Final = 0.5
"""Of a long rest, between two looks whether another proof waits."""


class DriftWatch:
    """Passes over all sources, one after another, as often as the configuration says."""

    def __init__(self, config: Config, target: Target, stop: Stop) -> None:
        self._config = config
        self._target = target
        self._stop = stop
        settings = config.verify
        self._pause = settings.watch_seconds
        hours = settings.watch_hours
        # So much of each table in each pass that all of it has its turn in that many hours.
        self._turn = timedelta(hours=hours) if hours else timedelta.max
        self._renew = min(1.0, self._pause / (hours * 3600)) if hours else 0.0

    def run(self) -> None:
        """Watch until the stop is asked for; for a thread of its own."""
        if self._renew == 0.0:
            return
        while not self._stop.wait(self._pause):
            for source in self._config.sources:
                if not self._stop.asked:
                    self._look_at(source)

    def _look_at(self, source: SourceConfig) -> None:
        try:
            self.look(source)
        except CdcError as error:
            # Replication meets the same trouble and reports it; a proof that waits has the right
            # of way.
            log.debug("%s", error, extra=fields("watch_postponed", source=source.name))
        except Exception:
            # A thread has nobody to raise to, and replication does not depend on this one.
            log.exception(
                "The drift watch of %s failed; it looks again in %d s.",
                source.name,
                round(self._pause),
                extra=fields("watch_failed", source=source.name),
            )

    def _rest(self, conn: Connection, seconds: float) -> bool:
        """Rest for so long; true where a stop cuts that short. Raises ProofStopped where another
        proof waits: a rest may be a long one.
        """
        end = time.monotonic() + seconds
        while not runs.another_waits(conn):
            left = end - time.monotonic()
            if left <= 0:
                return self._stop.asked
            if self._stop.wait(min(left, REST_SECONDS)):
                return True
        raise ProofStopped("Another proof waits.")

    def look(self, source: SourceConfig) -> SourceOutcome:
        """One pass over one source. Raises CdcError where it cannot be done now."""
        request = Request(
            renew=self._renew,
            turn=self._turn,
            share=SHARE,
            max_age=timedelta(days=36_500),
            yields=True,
        )
        started = time.monotonic()
        with self._target.lease() as conn, runs.alone(conn, patience=0):
            rest = partial(self._rest, conn)
            outcome = SourceProof(self._config, source, self._target, request, rest).run()
        with self._target.lease() as conn:
            confirmed = drift.record(conn, outcome)
        for each in confirmed:
            log.error(
                "Drift: %s of %s, key %s: %s. cdc verify shows it, and --repair mends it.",
                each.name,
                source.name,
                each.key,
                each.what,
                extra=fields("drift", source=source.name, table=each.name, key=each.key),
            )
        log.debug(
            "Looked for drift in %.1f s.",
            time.monotonic() - started,
            extra=fields("watched", source=source.name),
        )
        return outcome
