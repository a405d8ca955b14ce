"""All that the copy of some tables takes, read and made ready in the order in which it is applied.

A chunk is read together with the log's end S, and then the log up to S, so that both can be written
in one transaction. A table that gets its key late is read on, behind all others, and goes live with
what has come behind its last row.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cdc.helper import Helper
from cdc.logs import fields
from cdc.mapping.table import MappedTable
from cdc.pipeline.backlog import Batch, BatchReader
from cdc.pipeline.chunking import (
    Announced,
    ChunkPacker,
    FileToCopy,
    PackedChunk,
    chunk_bound,
    every_other_chunk,
)
from cdc.pipeline.progress import TableProgress
from cdc.pipeline.session import Session
from cdc.pipeline.tables import ReplicatedTable
from cdc.postgres.apply import Applier, Chunk
from cdc.schema import Row
from cdc.sqlite.chunks import Chunk as Found
from cdc.sqlite.chunks import ChunkReader

log = logging.getLogger(__name__)

HELPED_BYTES: Final = 16 * 1024 * 1024
"""Bytes of columns that get another form, from which on a helper is worth its start, some 0.2 s of
a processor. Those that go as they are come sooner than the server can take them."""

MOST_IN_VAIN: Final = 8
"""Chunks in a row that a helper has read in vain, for their table changes all the time."""


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
    at once. With a `helper`, every other one has been read there.
    """

    def __init__(
        self,
        session: Session,
        table: ReplicatedTable,
        applier: Applier,
        lock_bound: float,
        *,
        careful: bool = False,
        helper: "CopyHelper | None" = None,
    ) -> None:
        self.table = table
        self._session = session
        self._careful = careful
        self._helper = helper
        self._reader = ChunkReader(session.file, table.source)
        self._bound = chunk_bound(table.source, lock_bound)
        self._packer = ChunkPacker(
            self._reader,
            self._bound,
            reading=session.reading,
            begin_packing=lambda: applier.begin_packing(table.mapped),
        )

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
        place = after.place
        if self._helper is None:
            found = self._packer.read(place)
        else:
            found = self._helper.read(self.table, place, self._packer)
        chunk = Chunk(
            table=self.table.mapped,
            rows=found.rows,
            after_key=after.bound,
            last_key=None if found.last and completes else found.place,
            fresh=self.table.fresh,
        )
        return _copied(chunk, found, found.place)

    def _read_carefully(self, after: Stand, completes: bool) -> Copied:
        with self._session.reading():
            found = self._reader.read(after.place, self._bound)
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


class CopyHelper:
    """Has every other chunk of some tables read by a second process, as soon as that is ready and
    as long as nothing is in its way. Tables are read one after another, as they are given.

    What it reads is of an earlier moment than the chunk that lies before it, and is taken where
    the log tells that its table has not changed since.
    """

    def __init__(
        self, session: Session, tables: Sequence[ReplicatedTable], lock_bound: float
    ) -> None:
        self._session = session
        self._tables = tables
        self._lock_bound = lock_bound
        self._helper = Helper(every_other_chunk, on_lost=self._report_lost)
        self._announced: Announced | None = None
        self._in_vain = 0

    def read(self, table: ReplicatedTable, place: Row | None, packer: ChunkPacker) -> PackedChunk:
        """The next chunk of `table`, which stands at `place`: one of the helper's, or what `packer`
        reads up to the next of those.
        """
        while (announced := self._next(table, place)) and announced.layout == table.layout:
            if announced.after != place:
                return packer.read(place, announced.after)
            self._announced = None
            chunk = self._take(table, place)
            if chunk is None:
                break
            assert isinstance(chunk, PackedChunk)
            if (exact := self._as_of_now(table, chunk)) is not None:
                self._in_vain = 0
                return exact
            self._in_vain += 1
            if self._in_vain == MOST_IN_VAIN:
                self.close()
        return packer.read(place)

    def _next(self, table: ReplicatedTable, place: Row | None) -> Announced | None:
        """Where the next chunk of the helper begins; None where it is not ready, or at its end."""
        if self._announced is None:
            found = self._take(table, place)
            assert found is None or isinstance(found, Announced)
            self._announced = found
        return self._announced

    def _take(self, table: ReplicatedTable, place: Row | None) -> Announced | PackedChunk | None:
        return self._helper.take(lambda: None, lambda: self._work(table, place))

    def _as_of_now(self, table: ReplicatedTable, chunk: PackedChunk) -> PackedChunk | None:
        """The chunk, with the log's end by now, if its table surely has not changed since."""
        changelog = self._session.changelog
        with self._session.reading():
            if not changelog.is_silent(table.layout, chunk.end):
                return None
            return replace(chunk, end=changelog.end())

    def _work(self, table: ReplicatedTable, place: Row | None) -> tuple[object, ...]:
        session = self._session
        log.info(
            "A second process takes part in the copy of %s.",
            session.file.path,
            extra=fields("helper_begun", table=table.name),
        )
        file = FileToCopy(
            session.file.path, session.file.identity, session.schema_version, self._lock_bound
        )
        rest = self._tables[self._tables.index(table) :]
        return file, [
            (t.layout, t.source, t.mapped, place if t is table else t.place) for t in rest
        ]

    def close(self) -> None:
        """From now on all chunks are read here; may be repeated."""
        self._helper.close()
        self._announced = None

    def _report_lost(self, how: str) -> None:
        log.info(
            "The copy of %s goes on without a second process: %s.",
            self._session.file.path,
            how,
            extra=fields("helper_lost"),
        )


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
        self._helper: CopyHelper | None = None

    def pieces(
        self, tables: Sequence[ReplicatedTable], progress: dict[str, TableProgress]
    ) -> Iterator[Piece]:
        """What is to be applied until all these tables are live."""
        if not self._careful and self._bytes_to_form(tables) >= HELPED_BYTES:
            self._helper = CopyHelper(self._session, tables, self._lock_bound)
        behind: list[tuple[ChunkSource, Stand]] = []
        for table in tables:
            self.table = table
            chunks = ChunkSource(
                self._session,
                table,
                self._applier,
                self._lock_bound,
                careful=self._careful,
                helper=self._helper,
            )
            progress[table.name].expected = chunks.estimated_rows()
            late = self._gets_late_key(table)
            start = Stand(table.place, table.place)
            end = yield from self._read_to_end(chunks, start, late=late)
            if end is not None:
                behind.append((chunks, end))
        self.close()
        for chunks, stand in behind:
            self.table = chunks.table
            yield from self._read_to_end(chunks, stand, late=False)

    def _bytes_to_form(self, tables: Sequence[ReplicatedTable]) -> float:
        """About how many bytes of the file get another form, as if all columns were of a size and
        all tables in it were to be copied.
        """
        columns = [column for table in tables for column in table.mapped.columns]
        formed = sum(column.type.encode is not None for column in columns)
        with self._session.reading():
            return self._session.file.size * formed / len(columns)

    def close(self) -> None:
        """End what was begun elsewhere; while no piece is being made."""
        if self._helper is not None:
            self._helper.close()

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


def _copied(chunk: Chunk, found: Found | PackedChunk, bound: Row | None) -> Copied:
    return Copied(chunk, Stand(found.place, bound), found.end.seq, found.last)


def _last_holdable(table: MappedTable, rows: Sequence[Row]) -> Row | None:
    """The last key of these rows that the target could have a row for."""
    keys = (tuple(row[i] for i in table.key) for row in reversed(rows))
    return next((key for key in keys if table.why_key(key) is None), None)
