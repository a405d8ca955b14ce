"""Walking a table from one end to the other in stretches, each of one short read transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.order import ChunkOrder, chunk_order
from cdc.sqlite.rows import Bound, Take, read_rows


@dataclass(frozen=True, slots=True)
class Stretch:
    """All the rows behind one place up to the place `place`, or to the table's end when `last`.

    Places are tuples in the order of the walk. `rows` are those that were not handed over while
    reading; `count` counts all, and `size` is about how many bytes of text and blob there are.
    """

    rows: list[Row]
    count: int
    size: int
    place: Row | None
    last: bool


class TableWalk:
    """Reads one table of an open file, captured or not, in its chunk order or in another.

    The rows have the table's columns, or the values of `expressions`: SQL in which `_cdc_t` is the
    table.
    """

    def __init__(
        self,
        file: SourceFile,
        source: SourceTable,
        *,
        order: ChunkOrder | None = None,
        backwards: bool = False,
        expressions: Sequence[str] | None = None,
    ) -> None:
        self._file = file
        self.order = order or chunk_order(source)
        table = source.table
        own = [
            f"_cdc_t.{c.name}" if table.rowid_key and i == 0 else f"_cdc_t.{quote(c.name)}"
            for i, c in enumerate(table.columns)
        ]
        # Rows that do not hold their own place carry it in front, as do those of a table walked by
        # a rowid that is none of its columns.
        has_place = expressions is None and (self.order.by_key or source.rowid is None)
        self._extra = 0 if has_place else len(self.order.terms)
        own = own if expressions is None else [*expressions]
        self._columns = own if has_place else [*self.order.terms, *own]
        self._key = table.key
        self._may_be_null = table.may_lack_key
        self._rowid = source.rowid
        self._order_by = self.order.order_by(descending=backwards)
        self._from = f"FROM {quote(table.name)} AS _cdc_t"

    def read(self, after: Row | None, bound: Bound, take: Take | None = None) -> Stretch:
        """The next rows behind the place `after`; for use within a read transaction.

        With `take`, rows are handed to it while the next ones are read, as far as the bound allows.
        """
        rest = f"{self._from} WHERE {self.order.after(after)} ORDER BY {self._order_by}"
        return self._read(rest, after, after or (), bound, take)

    def read_range(
        self, after: Row | None, up_to: Row | None, bound: Bound, take: Take | None = None
    ) -> Stretch:
        """As `read`, of the rows up to the place `up_to` and with it; `last` at the end of those.

        `up_to` has no NULL in it. Where other places may, SQL cannot tell whether they lie before
        it: then the rows are read one by one, and the first one behind it ends the read.
        """
        if up_to is None:
            return self.read(after, bound, take)
        bindings = after or ()
        condition = self.order.up_to(up_to, len(bindings) + 1)
        where = f"{self._from} WHERE {self.order.after(after)}"
        order = f"ORDER BY {self._order_by}"
        bindings += up_to
        if not self._may_be_null:
            return self._read(f"{where} AND {condition} {order}", after, bindings, bound, take)
        columns = [*self._columns, f"coalesce({condition}, 1)"]
        found = read_rows(self._file, columns, f"{where} {order}", bindings, bound)
        rows = [row[:-1] for row in found.rows if row[-1]]
        complete = found.complete or len(rows) < found.count
        place = self._place(rows[-1]) if rows else after
        return Stretch(self._bare(rows), len(rows), found.size, place, complete)

    def _read(
        self, rest: str, after: Row | None, bindings: Row, bound: Bound, take: Take | None
    ) -> Stretch:
        bare = None if take is None else (lambda rows: take(self._bare(rows)))
        found = read_rows(self._file, self._columns, rest, bindings, bound, take=bare)
        place = after if found.last is None else self._place(found.last)
        return Stretch(self._bare(found.rows), found.count, found.size, place, found.complete)

    def _bare(self, rows: list[Row]) -> list[Row]:
        return [row[self._extra :] for row in rows] if self._extra else rows

    def _place(self, row: Row) -> Row:
        return row[: self._extra] if self._extra else tuple(row[i] for i in self._key)

    def estimated_rows(self) -> int | None:
        """At most how many rows the table has, going by its rowids; None where it has none.

        For a progress bar: counting would hold the lock for as long as the table is large. So would
        asking for both ends in one SELECT, for which SQLite does not go by the index.
        """
        if self._rowid is None:
            return None
        lowest, highest = (f"(SELECT {end}({self._rowid}) {self._from})" for end in ("min", "max"))
        return int(self._file.query(f"SELECT coalesce({highest} - {lowest} + 1, 0)").get)
