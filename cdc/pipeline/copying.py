"""All that the copy of some tables takes, read and made ready in the order in which it is applied.

A chunk is read together with the log's end S, and then the log up to S, so that both can be written
in one transaction. A table that gets its key late is read on, behind all others, and goes live with
what has come behind its last row.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.mapping.table import MappedTable
from cdc.pipeline.backlog import Batch, BatchReader
from cdc.pipeline.progress import TableProgress
from cdc.pipeline.session import Session
from cdc.pipeline.tables import ReplicatedTable
from cdc.postgres.apply import Applier, Chunk
from cdc.postgres.preparation import ChunkPacking
from cdc.schema import Row
from cdc.sqlite.chunks import Chunk as Found
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.rows import READ_BYTES, Bound

CHUNK_VALUES: Final = 400_000
"""Values (rows times columns) in one chunk, which holds them packed; three may be in memory."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a copy stands: at `place` in the source, and at `bound` in the target.

    The bound is the last place that the target could hold a row for: only from such a one can what
    lies behind it be deleted. None is the beginning.
    """

    place: Row | None
    bound: Row | None


@dataclass(frozen=True, slots=True)
class Copied:
    """A chunk made ready for the target, which leads up to `end` and holds when the log is applied
    up to `as_of`. `reached_end`: at that moment there was nothing behind it.
    """

    chunk: Chunk
    end: Stand
    as_of: int
    reached_end: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """What one target transaction does while `table` is copied: it applies a batch and writes what
    was copied, which is None where the log up to there is too long for one batch.
    """

    table: ReplicatedTable
    batch: Batch
    copied: Copied | None


class ChunkSource:
    """Reads the chunks of one table of an open session, none for more than `lock_bound` seconds
    at once. While nothing is written to a captured table, several reads make one chunk.
    """

    def __init__(
        self,
        session: Session,
        table: ReplicatedTable,
        applier: Applier,
        lock_bound: float,
        *,
        careful: bool = False,
    ) -> None:
        self.table = table
        self._session = session
        self._applier = applier
        self._careful = careful
        self._reader = ChunkReader(session.file, table.source)
        width = len(table.source.table.columns)
        self._limit = Bound(lock_bound, max(1, CHUNK_VALUES // width))
        self._most_reads = 1  # the server is to have something to do soon

    def estimated_rows(self) -> int | None:
        """At most how many rows the table has, None where that is not known."""
        with self._session.reading():
            return self._reader.estimated_rows()

    def read(self, after: Stand, *, completes: bool) -> Copied:
        """The next chunk; where it is the last and `completes`, the table goes live with it.

        It is packed while it is read, and a row that does not fit raises a Misfit; a careful one
        has the rows as they are, whether they fit or not.
        """
        read = self._read_carefully if self._careful else self._read_packed
        return read(after, completes)

    def _read_packed(self, after: Stand, completes: bool) -> Copied:
        packing = self._applier.begin_packing(self.table.mapped)
        found = self._read_some(after.place, self._limit, packing)
        assert found is not None
        rows, size, reads = found.count, found.size, 1
        while not found.last and rows < self._limit.rows and size < READ_BYTES:
            if reads == self._most_reads:
                self._most_reads *= 2
                break
            bound = Bound(self._limit.seconds, self._limit.rows - rows)
            more = self._read_some(found.place, bound, packing, as_of=found.as_of)
            if more is None:
                break
            found, rows, size, reads = more, rows + more.count, size + more.size, reads + 1
        chunk = Chunk(
            table=self.table.mapped,
            rows=packing.end(),
            after_key=after.bound,
            last_key=None if found.last and completes else found.place,
            fresh=self.table.fresh,
        )
        return _copied(chunk, found, found.place)

    def _read_some(
        self, after: Row | None, bound: Bound, packing: ChunkPacking, *, as_of: int | None = None
    ) -> Found | None:
        """What one short read brings; None where the log no longer ends at `as_of`."""
        with self._session.reading():
            if as_of is not None and self._reader.newest() != as_of:
                return None
            found = self._reader.read(after, bound, packing.add)
        packing.add(found.rows)
        return found

    def _read_carefully(self, after: Stand, completes: bool) -> Copied:
        with self._session.reading():
            found = self._reader.read(after.place, self._limit)
        bound = found.place
        if not self.table.fresh:
            bound = _last_holdable(self.table.mapped, found.rows) or after.bound
        last = found.last and completes
        chunk = Chunk(
            table=self.table.mapped,
            rows=found.rows,
            after_key=after.bound,
            last_key=None if last else bound,
            fresh=self.table.fresh,
            more=bound is None and not last,
        )
        return _copied(chunk, found, bound)


class CopyReader:
    """Reads the pieces of a copy of tables of one session; `table` is the one it is at.

    `gets_late_key` says whether a table is without its key until its rows are there.
    """

    def __init__(
        self,
        session: Session,
        applier: Applier,
        batches: BatchReader,
        lock_bound: float,
        *,
        gets_late_key: Callable[[ReplicatedTable], bool],
        careful: bool,
    ) -> None:
        self.table: ReplicatedTable | None = None
        self._session = session
        self._applier = applier
        self._batches = batches
        self._lock_bound = lock_bound
        self._gets_late_key = gets_late_key
        self._careful = careful
        self._position = session.position

    def pieces(
        self, tables: Sequence[ReplicatedTable], progress: dict[str, TableProgress]
    ) -> Iterator[Piece]:
        """What is to be applied until all these tables are live."""
        behind: list[tuple[ChunkSource, Stand]] = []
        for table in tables:
            self.table = table
            chunks = ChunkSource(
                self._session, table, self._applier, self._lock_bound, careful=self._careful
            )
            progress[table.name].expected = chunks.estimated_rows()
            late = self._gets_late_key(table)
            start = Stand(table.place, table.place)
            end = yield from self._read_to_end(chunks, start, late=late)
            if end is not None:
                behind.append((chunks, end))
        for chunks, stand in behind:
            self.table = chunks.table
            yield from self._read_to_end(chunks, stand, late=False)

    def _read_to_end(
        self, chunks: ChunkSource, stand: Stand, *, late: bool
    ) -> Generator[Piece, None, Stand | None]:
        """The pieces from `stand` on; returns where they end, None where the table is live then.

        One that is `late` is not, unless all of it is one chunk.
        """
        while True:
            # A table of one chunk has its key from the start.
            copied = chunks.read(stand, completes=not late or stand.place is None)
            yield from self._read_log(copied)
            stand = copied.end
            if copied.reached_end:
                return None if copied.chunk.last else stand

    def _read_log(self, copied: Copied) -> Iterator[Piece]:
        """The log up to the moment of a chunk, and with its last batch the chunk."""
        assert self.table is not None
        complete = False
        while not complete:
            batch = self._batches.read(self._position, copied.as_of, careful=self._careful)
            self._position = batch.end or self._position
            complete = batch.complete
            yield Piece(self.table, batch, copied if complete else None)


def _copied(chunk: Chunk, found: Found, bound: Row | None) -> Copied:
    return Copied(chunk, Stand(found.place, bound), found.as_of, found.last)


def _last_holdable(table: MappedTable, rows: Sequence[Row]) -> Row | None:
    """The last key of these rows that the target could have a row for."""
    keys = (tuple(row[i] for i in table.key) for row in reversed(rows))
    return next((key for key in keys if table.why_key(key) is None), None)
