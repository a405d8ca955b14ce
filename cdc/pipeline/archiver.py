"""The thread that writes one source's part of the event store, beside the one that replicates."""

import logging
import time
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.errors import ArchiveDamaged, ArchiveError, SourceError, TargetError
from cdc.logs import fields
from cdc.pipeline.archiving import SourceArchive
from cdc.pipeline.progress import SourceProgress, SourceState
from cdc.postgres.connection import Target
from cdc.stop import Stop

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often it looks whether there is something to do."""

PASS_SECONDS: Final = 5.0
"""How often it does a pass for what only a look into the file and PostgreSQL can tell; where events
are to be archived sooner, as often as that."""

PAUSE_SECONDS: Final = 30.0
"""After a pass that failed."""

BEHIND_EVENTS: Final = 10_000
"""With a backlog of so many events replication needs the processor more than the store does …"""

MOST_WAITING: Final = 20
"""… as long as no more than so many segments wait to be written."""


class Archiver:
    """Does a pass whenever one is due; what goes wrong is reported and tried again."""

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        target: Target,
        stop: Stop,
        progress: SourceProgress,
    ) -> None:
        self.source = source
        self._archive = SourceArchive(config, source, target, stop)
        self._segment_events = config.archive.segment_events
        self._pass_seconds = min(PASS_SECONDS, config.archive.segment_seconds)
        self._stop = stop
        self._progress = progress
        self._next_pass = 0.0
        self._trouble = ""

    def run(self) -> None:
        """Archive until the stop is asked for."""
        while not self._stop.wait(LOOK_SECONDS):
            if self._due():
                self._next_pass = time.monotonic() + self._pass_seconds
                if not self._pass(everything=False):
                    self._next_pass = time.monotonic() + PAUSE_SECONDS

    def finish(self) -> None:
        """Archive all that is applied; for a source whose replication has come to its end."""
        if self._progress.error is None:
            self._pass(everything=True)

    def _due(self) -> bool:
        progress = self._progress
        waiting = progress.applied_seq - self._archive.last_seq
        behind = progress.captured_seq - progress.applied_seq > BEHIND_EVENTS
        match progress.state:
            case SourceState.TAILING if not behind:
                pass
            case SourceState.TAILING | SourceState.COPYING:
                if waiting < MOST_WAITING * self._segment_events:
                    return False
            case _:
                return False
        return time.monotonic() >= self._next_pass

    def _pass(self, *, everything: bool) -> bool:
        """Do a pass; whether it went well. While tables are copied no baselines are written."""
        tailing = everything or self._progress.state is SourceState.TAILING
        try:
            self._archive.work(baselines=tailing, everything=everything)
        except (SourceError, TargetError, ArchiveError) as error:
            self._report(error)
            return False
        except Exception:
            # A thread has nobody to raise to, and replication does not depend on this one.
            log.exception(
                "The archive of %s failed; changes are replicated, and stay in its changelog.",
                self.source.name,
                extra=fields("archive_failed", source=self.source.name),
            )
            return False
        if self._trouble:
            self._trouble = ""
            log.info("Archiving again.", extra=fields("archiving", source=self.source.name))
        return True

    def _report(self, error: SourceError | TargetError | ArchiveError) -> None:
        """Say once what is wrong, until it is something else."""
        if str(error) == self._trouble:
            return
        self._trouble = str(error)
        damaged = isinstance(error, ArchiveDamaged)
        log.log(
            logging.ERROR if isinstance(error, ArchiveError) else logging.INFO,
            "The archive of %s waits: %s",
            self.source.name,
            error.line,
            extra=fields(
                "archive_damaged" if damaged else "archive_waiting", source=self.source.name
            ),
        )
