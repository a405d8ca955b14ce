"""What each source is doing at this moment, for whoever shows it.

One thread writes each value and others only read, so there are no locks.
"""

import enum
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cdc.event import unix_seconds

DELAYS: Final = 10_000


class SourceState(enum.StrEnum):
    """The state of a source's replication, as `status` and `lag` print it."""

    STARTING = "starting"
    COPYING = "copying"
    TAILING = "tailing"
    RETURNING = "returning"  # PostgreSQL is master: rows go the other way
    WAITING = "waiting"  # for PostgreSQL, or for the file; trying again by itself
    HALTED = "halted"  # by something that needs a decision
    STOPPED = "stopped"
    FINISHED = "finished"  # PostgreSQL is master for good


@dataclass(slots=True)
class TableProgress:
    """The copy of one table; `expected` is an upper bound on its rows, None where unknown."""

    copied: int = 0
    expected: int | None = None
    done: bool = False


@dataclass(slots=True)
class SourceProgress:
    """One source. `events` counts those applied since the start, `delays` holds for each of the
    last batches the time in seconds from its oldest event to its being applied. `stopped` are the
    tables that wait for the operator while the others go on.

    When the direction turns both begin anew; while PostgreSQL is master they are about what was
    written there and was brought back.
    """

    name: str
    state: SourceState = SourceState.STARTING
    message: str = ""
    captured_seq: int = 0
    applied_seq: int = 0
    events: int = 0
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=DELAYS), repr=False)
    tables: dict[str, TableProgress] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    error: BaseException | None = None

    def applied(self, seq: int, events: int, oldest_at: float | None) -> None:
        """Take note of a batch that was committed."""
        self.applied_seq = seq
        self.captured_seq = max(self.captured_seq, seq)
        self.events += events
        if oldest_at is not None:
            self.delays.append(max(0.0, time.time() - unix_seconds(oldest_at)))

    def returned(self, entries: int, oldest_at: datetime | None) -> None:
        """Take note of a batch that was brought back."""
        self.events += entries
        if oldest_at is not None:
            self.delays.append(max(0.0, time.time() - oldest_at.timestamp()))

    def turned(self) -> None:
        """The direction is another one from now on."""
        self.events = 0
        self.delays.clear()
