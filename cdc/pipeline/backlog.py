"""The events that wait in a file's log, read as far as they make one batch."""

from dataclasses import dataclass
from typing import Final

from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.session import Session
from cdc.postgres.apply import Applier, Changes
from cdc.sqlite.changelog import SHORTEST_STRETCH, Events
from cdc.sqlite.log import Position
from cdc.sqlite.rows import READ_BYTES, Bound

NO_EVENTS: Final = Events([], complete=True, size=0, count=0, oldest_at=None)

BATCH_VALUES: Final = 250_000
"""Values (events times columns) in one batch. More would take more memory and more time, too:
they leave the processor's cache before they are looked at again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive events, `count` of them, made ready for the target. `end` is the position of the
    last one, None without any; `complete` and `oldest_at` as of `Events`.
    """

    changes: Changes
    end: Position | None
    complete: bool
    count: int
    oldest_at: float | None


NO_BATCH: Final = Batch((), None, complete=True, count=0, oldest_at=None)


class Backlog:
    """Reads the log of one session. `lock_bound` is in seconds, for one read; `batch_events` the
    most events that the configuration wants in a batch.
    """

    def __init__(
        self, session: Session, progress: SourceProgress, lock_bound: float, batch_events: int
    ) -> None:
        self._session = session
        self._progress = progress
        self._lock_bound = lock_bound
        widest = len(session.changelog.columns)
        self._batch_events = max(1, min(batch_events, BATCH_VALUES // widest))

    def read(self, after: Position, up_to: int | None = None) -> Events:
        """The events behind `after`, as many as fit into one batch, in several short reads."""
        past = self._session.past
        if past is not None and past.lies_behind(after.seq):
            return past.read(after.seq, self._batch_events, up_to)
        batch, whole = NO_EVENTS, False
        while True:
            bound = Bound(self._lock_bound, self._batch_events - len(batch.events))
            with self._session.reading(after):
                found = self._read_some(after.seq, bound, up_to, whole=whole)
            whole = not found.complete and not found.events
            batch = batch.joined(found)
            full = len(batch.events) >= self._batch_events or batch.size >= READ_BYTES
            if batch.complete or full:
                return batch
            after = batch.end if batch.events else after

    def _read_some(self, after: int, bound: Bound, up_to: int | None, *, whole: bool) -> Events:
        """What one short read brings; of a backlog only the last event of each key.

        A few events are read as they are, and show whether there is a backlog. `whole`: the last
        read for the last event of each key was too much for the bound, so read all this time.
        """
        changelog = self._session.changelog
        if whole:
            return changelog.read(after, bound, up_to=up_to)
        if self._progress.captured_seq - after > SHORTEST_STRETCH:
            return changelog.read_last(after, bound, up_to=up_to)
        few = Bound(bound.seconds, min(bound.rows, SHORTEST_STRETCH))
        found = changelog.read(after, few, up_to=up_to)
        if not found.complete:
            self._progress.captured_seq = changelog.newest()
        return found


class BatchReader:
    """Reads a backlog and makes its batches ready, so that the thread that sends only has to send.

    Not for two threads at once.
    """

    def __init__(self, session: Session, applier: Applier, backlog: Backlog) -> None:
        self._compactor = session.compactor
        self._applier = applier
        self._backlog = backlog

    def read(
        self,
        after: Position,
        up_to: int | None = None,
        *,
        careful: bool = False,
        clear: bool = False,
        whole: bool = False,
    ) -> Batch:
        """The next batch behind `after`, `careful` and `clear` as of `Applier.prepare`.

        `whole`: all that the log holds.
        """
        found = self._backlog.read(after, up_to)
        while whole and found.events and not found.complete:
            found = found.joined(self._backlog.read(found.end, up_to))
        compacted = self._compactor.compact(found.events)
        changes = self._applier.prepare(compacted, careful=careful or clear, clear=clear)
        end = found.end if found.events else None
        return Batch(changes, end, found.complete, found.count, found.oldest_at)
