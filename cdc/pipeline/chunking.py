"""Chunks of a table, read and packed. Where it happens is no matter: in this process, or in a
helper that runs ahead of it, for which this module imports little.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cdc.errors import SchemaMoved
from cdc.mapping.table import MappedTable
from cdc.postgres.encoding import Encoding
from cdc.postgres.wire import Packed, RowPacker, Strict
from cdc.schema import Row
from cdc.sqlite.chunks import Chunk, ChunkReader
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.log import Position
from cdc.sqlite.rows import READ_BYTES, Bound

CHUNK_VALUES: Final = 400_000
"""Values (rows times columns) in one chunk, which holds them packed; three may be in memory."""


class Packing(Protocol):
    """Rows on their way to being Packed."""

    def add(self, rows: list[Row]) -> None:
        """Pack these rows, too; raises what says that one of them does not fit."""

    def end(self) -> Packed:
        """All rows, packed."""


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """All the rows of a table behind one place up to the place `place`, exactly as they were when
    the log ended at `end`; `last`: the table had none behind them then.
    """

    rows: Packed
    place: Row | None
    end: Position
    last: bool


def chunk_bound(source: SourceTable, lock_bound: float) -> Bound:
    """The bound of one chunk of a table, none of whose reads takes more than `lock_bound` s."""
    return Bound(lock_bound, max(1, CHUNK_VALUES // len(source.table.columns)))


class ChunkPacker:
    """Reads the chunks of one table; while nothing is written to a captured table, several reads
    make one chunk.

    `reading` is a read transaction of the file, and `begin_packing` begins a chunk's packing.
    """

    def __init__(
        self,
        reader: ChunkReader,
        bound: Bound,
        *,
        reading: Callable[[], AbstractContextManager[None]],
        begin_packing: Callable[[], Packing],
    ) -> None:
        self._reader = reader
        self._bound = bound
        self._reading = reading
        self._begin_packing = begin_packing
        self._most_reads = 1  # the server is to have something to do soon

    def read(self, after: Row | None, up_to: Row | None = None) -> PackedChunk:
        """The next chunk behind the place `after`, packed while it is read: of the rows up to the
        place `up_to`, of all without one.
        """
        packing = self._begin_packing()
        found = self._read_some(after, up_to, self._bound, packing)
        assert found is not None
        rows, size, reads = found.count, found.size, 1
        while not found.last and rows < self._bound.rows and size < READ_BYTES:
            if reads == self._most_reads:
                self._most_reads *= 2
                break
            bound = Bound(self._bound.seconds, self._bound.rows - rows)
            more = self._read_some(found.place, up_to, bound, packing, as_of=found.as_of)
            if more is None:
                break
            found, rows, size, reads = more, rows + more.count, size + more.size, reads + 1
        if up_to is not None and found.last:  # of the range; its last row may have gone
            return PackedChunk(packing.end(), up_to, found.end, last=False)
        return PackedChunk(packing.end(), found.place, found.end, found.last)

    def _read_some(
        self,
        after: Row | None,
        up_to: Row | None,
        bound: Bound,
        packing: Packing,
        *,
        as_of: int | None = None,
    ) -> Chunk | None:
        """What one short read brings; None where the log no longer ends at `as_of`."""
        with self._reading():
            if as_of is not None and self._reader.newest() != as_of:
                return None
            found = self._reader.read(after, bound, packing.add, up_to=up_to)
        packing.add(found.rows)
        return found


@dataclass(frozen=True, slots=True)
class FileToCopy:
    """A captured file for a process that does not have it open: which one it is, and the version
    of its schema. No read of it takes more than `lock_bound` seconds.
    """

    path: Path
    identity: tuple[int, int]
    schema_version: int
    lock_bound: float


@dataclass(frozen=True, slots=True)
class Announced:
    """A chunk of the table with this layout follows, of what lies behind `after`."""

    layout: int
    after: Row


def every_other_chunk(
    of: FileToCopy, tables: Sequence[tuple[int, SourceTable, MappedTable, Row | None]]
) -> Iterator[Announced | PackedChunk]:
    """Every other chunk of some tables, each table from a place on, with its layout; the chunks in
    between are left to the caller, who learns where each ends before it is made. Left out are
    tables of which SQLite cannot read a range without stepping through the rest.

    Raises whatever is in the way, and SchemaMoved where the file is not what it was any more.
    """

    @contextmanager
    def reading() -> Iterator[None]:
        with file.reading():
            if (file.identity, file.schema_version) != (of.identity, of.schema_version):
                raise SchemaMoved(f"{of.path} or its schema is not what it was.")
            yield

    with SourceFile(of.path) as file:
        for layout, source, mapped, start in tables:
            with reading():
                reader = ChunkReader(file, source)
            by_key = reader.order.by_key
            if source.rowid is None and not by_key:
                continue
            rows = RowPacker(mapped, Encoding(mapped), Strict(mapped))
            bound = chunk_bound(source, of.lock_bound)
            packer = ChunkPacker(reader, bound, reading=reading, begin_packing=rows.begin)
            place = start
            while True:
                with reading():
                    after = reader.skip(place, bound)
                if after is None or (by_key and mapped.why_key(after) is not None):
                    break  # what the target cannot hold is no bound of anything there
                yield Announced(layout, after)
                chunk = packer.read(after)
                yield chunk
                if chunk.last:
                    break
                place = chunk.place
