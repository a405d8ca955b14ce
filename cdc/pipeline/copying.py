"""The chunks of one table's copy, read and made ready for the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.mapping.table import MappedTable
from cdc.pipeline.session import Session
from cdc.pipeline.tables import ReplicatedTable
from cdc.postgres.apply import Applier, Chunk
from cdc.schema import Row
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.rows import Bound

CHUNK_VALUES: Final = 600_000
"""Values (rows times columns) in one chunk, which holds them packed; two may be in memory."""


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
    up to `as_of`; `last` at the table's end.
    """

    chunk: Chunk
    end: Stand
    as_of: int
    last: bool


class ChunkSource:
    """Reads the chunks of one table of an open session, each for at most `lock_bound` seconds."""

    def __init__(
        self, session: Session, table: ReplicatedTable, applier: Applier, lock_bound: float
    ) -> None:
        self._session = session
        self._table = table
        self._applier = applier
        self._reader = ChunkReader(session.file, table.source)
        width = len(table.source.table.columns)
        self._limit = Bound(lock_bound, max(1, CHUNK_VALUES // width))

    def estimated_rows(self) -> int | None:
        """At most how many rows the table has, None where that is not known."""
        with self._session.reading():
            return self._reader.estimated_rows()

    def read(self, after: Stand) -> Copied:
        """The next chunk, packed while it is read; raises a Misfit where a row does not fit."""
        packing = self._applier.begin_packing(self._table.mapped)
        with self._session.reading():
            found = self._reader.read(after.place, self._limit, packing.add)
        packing.add(found.rows)
        chunk = Chunk(
            table=self._table.mapped,
            rows=packing.end(),
            after_key=after.bound,
            last_key=None if found.last else found.place,
            fresh=self._table.fresh,
        )
        return Copied(chunk, Stand(found.place, found.place), found.as_of, found.last)

    def read_carefully(self, after: Stand) -> Copied:
        """The next chunk with its rows as they are, whether they fit or not."""
        with self._session.reading():
            found = self._reader.read(after.place, self._limit)
        bound = found.place
        if not self._table.fresh:
            bound = _last_holdable(self._table.mapped, found.rows) or after.bound
        chunk = Chunk(
            table=self._table.mapped,
            rows=found.rows,
            after_key=after.bound,
            last_key=None if found.last else bound,
            fresh=self._table.fresh,
            more=bound is None and not found.last,
        )
        return Copied(chunk, Stand(found.place, bound), found.as_of, found.last)


def _last_holdable(table: MappedTable, rows: Sequence[Row]) -> Row | None:
    """The last key of these rows that the target could have a row for."""
    keys = (tuple(row[i] for i in table.key) for row in reversed(rows))
    return next((key for key in keys if table.why_key(key) is None), None)
