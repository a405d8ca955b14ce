"""Keeping the events that a replay still has to read: in the changelog, and in the archive."""

import os
import time
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.errors import CdcError, SegmentGone
from cdc.postgres import hold_back, state
from cdc.postgres.connection import Target
from cdc.replay.store import Store, open_store

HOLD_SECONDS: Final = 3600.0
"""For how long the changelog is kept from being pruned, for a replay that died."""

RENEW_SECONDS: Final = 600.0

LOOKS: Final = 10
"""How often the archive is looked at again, where the pruner was quicker."""


class Hold:
    """Holds back one source's events, and the segments of its archive; nothing is held where there
    is no PostgreSQL to say so to.
    """

    def __init__(self, target: Target | None, source: str) -> None:
        self._target = target
        self._source = source
        self._owner = f"{hold_back.REPLAY} {os.getpid()}"
        self._seq = 0
        self._renew_at = 0.0

    def take(self, seq: int) -> bool:
        """Hold back what lies behind an event; False where some of it may be gone already."""
        self._seq, self._renew_at = seq, time.monotonic() + RENEW_SECONDS
        if self._target is None:
            return True
        with self._target.lease() as conn:
            known = state.identity(conn)
            if known is None or known.version < hold_back.SINCE_VERSION:
                return True
            return hold_back.keep_from(conn, self._source, self._owner, seq, seconds=HOLD_SECONDS)

    def renew(self) -> None:
        """Hold on, if it is time to say so again."""
        if time.monotonic() >= self._renew_at:
            self.take(self._seq)

    def let_go(self) -> None:
        """Need no events any more."""
        if self._target is None:
            return
        with self._target.lease() as conn:
            known = state.identity(conn)
            if known is not None and known.version >= hold_back.SINCE_VERSION:
                hold_back.let_go(conn, self._source, self._owner)


def open_held(config: Config, source: SourceConfig, hold: Hold) -> Store:
    """What is kept of a source, with nothing being pruned that its archive lacks."""
    for _ in range(LOOKS):
        try:
            store = open_store(config, source)
        except SegmentGone:
            continue
        if hold.take(store.live_from) and store.is_there:
            return store
        store.close()  # the archive has gone on, or lost its beginning, since it was looked at
    raise CdcError(
        f"{source.name}: events are pruned from the changelog and are not in the archive.",
        hint="See cdc archive status.",
    )
