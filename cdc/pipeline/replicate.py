"""One source's way to PostgreSQL: copy what is there, then follow what changes.

One loop does both, so a chunk of the copy is exact without watermarks: it is read together with
the log's end S, the log is applied up to S, and the chunk is written in the same transaction.
"""

import logging
import time
from collections.abc import Generator
from functools import partial
from typing import Final

from cdc.config import ReplicationConfig
from cdc.errors import SourceBusy
from cdc.event import AT
from cdc.logs import fields
from cdc.pipeline.ahead import ReadAhead
from cdc.pipeline.progress import SourceProgress, SourceState, TableProgress
from cdc.pipeline.session import Session
from cdc.pipeline.tables import ReplicatedTable
from cdc.postgres.apply import Advance, Applier, Chunk
from cdc.postgres.connection import Target
from cdc.schema import Row
from cdc.sqlite.changelog import Events
from cdc.sqlite.chunks import Chunk as SourceChunk
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.log import Position
from cdc.sqlite.rows import READ_BYTES, Bound

log = logging.getLogger(__name__)

BOUNDARY_SECONDS: Final = 1.0
"""At most one committed boundary a second is recorded, and the one that a quiet source rests at."""

MOST_VALUES: Final = 600_000
"""Values (rows times columns) held in one batch or chunk; two may be in memory at a time."""


class Replication:
    """The replication of one open session, step by step. For one thread."""

    def __init__(
        self,
        name: str,
        session: Session,
        target: Target,
        settings: ReplicationConfig,
        progress: SourceProgress,
        *,
        synchronous_commit: bool,
    ) -> None:
        self._name = name
        self._session = session
        self._target = target
        self._progress = progress
        self._applier = Applier(synchronous_commit=synchronous_commit)
        self._lock_bound = settings.lock_bound_ms / 1000 / 2
        widest = len(session.changelog.columns)
        self._batch_events = max(1, min(settings.batch_events, MOST_VALUES // widest))
        self._ahead: ReadAhead[Events] = ReadAhead()
        self._copies = self._copy_all()
        self._unrecorded = False
        self._next_boundary = 0.0
        progress.captured_seq = max(progress.captured_seq, session.position.seq)
        progress.applied_seq = session.position.seq
        progress.tables = {
            t.name: TableProgress(copied=t.copied, done=t.live) for t in session.tables
        }

    def step(self) -> bool:
        """Do one piece of work, in one target transaction; False when there was nothing to do.

        Raises SourceBusy, after which the next step may do better; after any other error, such as
        SessionEnded and TargetError, the session is done for.
        """
        self._session.check_file()
        try:
            return next(self._copies, False) or self._tail()
        except SourceBusy:
            # The same session goes on later; a generator that has raised does not.
            self._copies = self._copy_all()
            raise

    def close(self) -> None:
        """Wait for reads under way and close the file."""
        self._copies.close()
        self._ahead.close()
        self._session.close()

    def settle(self) -> None:
        """Record the committed boundary that the position stands at, if that is yet to be done."""
        if self._unrecorded:
            self._apply(Events([], complete=True, size=0), boundary=True)

    def _tail(self) -> bool:
        if self._progress.state is not SourceState.TAILING:
            self._begin_tailing()
        batch = self._ahead.take()
        if batch is None or not batch.events:  # what was read ahead may be out of date by now
            batch = self._read_events(self._session.position)
        if not batch.events:
            if time.monotonic() >= self._next_boundary:
                self.settle()
            return False
        if not batch.complete:
            self._ahead.start(partial(self._read_events, batch.end))
        due = time.monotonic() >= self._next_boundary
        self._apply(batch, boundary=batch.complete and due)
        self._unrecorded = batch.complete and not due
        return True

    def _begin_tailing(self) -> None:
        self._progress.state = SourceState.TAILING
        log.info(
            "All %d tables are copied; following changes from event %d on.",
            len(self._session.tables),
            self._session.position.seq,
            extra=fields("tailing", source=self._name, seq=self._session.position.seq),
        )

    def _read_events(self, after: Position, up_to: int | None = None) -> Events:
        """The events behind `after`, as many as fit into one batch, in several short reads."""
        events: list[tuple[object, ...]] = []
        size = 0
        while True:
            bound = Bound(self._lock_bound, self._batch_events - len(events))
            with self._session.reading(after):
                found = self._session.changelog.read(after.seq, bound, up_to=up_to)
                if not found.complete:
                    self._progress.captured_seq = self._session.changelog.newest()
            events += found.events
            size += found.size
            full = len(events) >= self._batch_events or size >= READ_BYTES
            if found.complete or full:
                return Events(events, found.complete, size)
            after = found.end

    def _apply(self, batch: Events, *, boundary: bool, chunk: Chunk | None = None) -> None:
        """Commit a batch (which may be empty beside a chunk) and move the position behind it."""
        session = self._session
        end = batch.end if batch.events else session.position
        advance = Advance(
            source=self._name,
            from_seq=session.position.seq,
            to_seq=end.seq,
            digest=end.digest,
            at=end.at,
            boundary=boundary,
            epoch=session.epoch,
        )
        changes = session.compactor.compact(batch.events)
        with self._target.lease() as conn:
            self._applier.apply(conn, advance, changes, chunk)
        session.position = Position(end.seq, end.digest, end.at)
        if boundary:
            self._unrecorded = False
            self._next_boundary = time.monotonic() + BOUNDARY_SECONDS
        oldest = batch.events[0][AT] if batch.events else None
        self._progress.applied(end.seq, len(batch.events), oldest)

    def _copy_all(self) -> Generator[bool, None, None]:
        for table in self._session.tables:
            if not table.live:
                self._progress.state = SourceState.COPYING
                yield from self._copy(table)

    def _copy(self, table: ReplicatedTable) -> Generator[bool, None, None]:
        """Copy one table from where it stands; yields after each committed chunk."""
        reader = ChunkReader(self._session.file, table.source)
        width = len(table.mapped.columns)
        bound = Bound(self._lock_bound, max(1, MOST_VALUES // width))
        progress = self._progress.tables[table.name]
        with self._session.reading():
            progress.expected = reader.estimated_rows()
        ahead: ReadAhead[SourceChunk] = ReadAhead()
        try:
            while not table.live:
                chunk = ahead.take() or self._read_chunk(reader, bound, table.place)
                batch = self._catch_up(chunk.as_of)
                if not chunk.last:
                    ahead.start(partial(self._read_chunk, reader, bound, chunk.place))
                self._write_chunk(table, chunk, batch)
                progress.copied, progress.done = table.copied, table.live
                yield True
            log.info(
                "Copied table %s: %d rows.",
                table.name,
                table.copied,
                extra=fields("copied", source=self._name, table=table.name, rows=table.copied),
            )
        finally:
            ahead.close()

    def _read_chunk(self, reader: ChunkReader, bound: Bound, after: Row | None) -> SourceChunk:
        with self._session.reading():
            return reader.read(after, bound)

    def _catch_up(self, as_of: int) -> Events:
        """Apply the log up to `as_of` but for the last batch, which is returned."""
        while True:
            batch = self._read_events(self._session.position, up_to=as_of)
            if batch.complete:
                return batch
            self._apply(batch, boundary=False)

    def _write_chunk(self, table: ReplicatedTable, chunk: SourceChunk, batch: Events) -> None:
        """Commit a chunk together with the events that lead up to its moment."""
        rows = Chunk(
            table=table.mapped,
            rows=chunk.rows,
            after_key=chunk.after,
            last_key=None if chunk.last else chunk.place,
            fresh=table.fresh,
        )
        self._apply(batch, boundary=False, chunk=rows)
        table.copied += len(chunk.rows)
        table.place = chunk.place
        table.live = chunk.last
