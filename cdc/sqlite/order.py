"""The order in which a table is walked in chunks; each is found again from the last one's end."""

from dataclasses import dataclass

from cdc.schema import Column, Row, UndecodableText, Value
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote


@dataclass(frozen=True, slots=True)
class ChunkOrder:
    """The columns to walk by: `terms` are SQL on `_cdc_t`, `by_key` says whether they are the key.

    A place in the order is the tuple of their values in the last row seen, or None before the
    first row.
    """

    terms: tuple[str, ...]
    by_key: bool

    def order_by(self, *, descending: bool = False) -> str:
        """The ORDER BY list."""
        return ", ".join(f"{term} DESC" for term in self.terms) if descending else self._row

    @property
    def _row(self) -> str:
        return ", ".join(self.terms)

    def after(self, place: Row | None) -> str:
        """The condition, with its bindings from ?1 on, for the rows behind `place`."""
        if place is None:
            return "1"
        if None in place:
            return self._after_null(place)
        return f"({self._row}) > ({', '.join(_marks(place, 1))})"

    def _after_null(self, place: Row) -> str:
        # To SQL nothing is greater than a NULL, nor than a row with one, but in the order they come
        # first. Rows with the same NULLs are passed over: they have one key, which is none.
        marks = _marks(place, 1)
        behind = [
            f"{term} IS NOT {mark}" if value is None else f"{term} > {mark}"
            for term, mark, value in zip(self.terms, marks, place, strict=True)
        ]
        equal = [f"{term} IS {mark}" for term, mark in zip(self.terms, marks, strict=True)]
        ways = (" AND ".join([*equal[:at], last]) for at, last in enumerate(behind))
        # What the OR hides from the planner: where in the index to begin.
        begin = "" if place[0] is None else f"{self.terms[0]} >= {marks[0]} AND "
        return f"{begin}({' OR '.join(f'({way})' for way in ways)})"

    def up_to(self, place: Row, start: int) -> str:
        """The condition, with its bindings from ?start on, for the rows before `place` and at it.

        It is NULL for rows of which SQL cannot say so, for a NULL among their values; in the order
        they lie before `place`, unless a greater value stands before that NULL.
        """
        return f"({self._row}) <= ({', '.join(_marks(place, start))})"


def _marks(place: Row, start: int) -> list[str]:
    return [_mark(value, f"?{number}") for number, value in enumerate(place, start)]


def _mark(value: Value, mark: str) -> str:
    # A text that is not valid in the file's encoding can only be bound as the bytes that it has.
    return f"CAST({mark} AS TEXT)" if isinstance(value, UndecodableText) else mark


def chunk_order(source: SourceTable) -> ChunkOrder:
    """By key, so that chunks are key ranges on both sides; by rowid where the key sorts loosely.

    A key under NOCASE or RTRIM leaves the order among equal keys open for PostgreSQL, whose text
    keys sort by the bytes of UTF-8; those of a file in UTF-16 sort by others. A table WITHOUT ROWID
    has no other order than its key's.
    """
    table = source.table
    exact = source.utf8 and all(column.collation == "BINARY" for column in table.key_columns)
    if source.rowid is not None and (table.integer_key or not exact):
        return ChunkOrder((f"_cdc_t.{source.rowid}",), by_key=table.integer_key)
    return ChunkOrder(tuple(map(_term, table.key_columns)), by_key=exact)


def _term(column: Column) -> str:
    # Only where it must: for several columns with a COLLATE, SQLite walks from the table's start.
    collate = f" COLLATE {column.collation}" if column.collation != column.own_collation else ""
    return f"_cdc_t.{quote(column.name)}{collate}"


def fill_order(source: SourceTable) -> ChunkOrder:
    """By rowid where there is one: a key under it may be NULL, which no place can lie behind."""
    if source.rowid is not None:
        return ChunkOrder((f"_cdc_t.{source.rowid}",), by_key=source.table.integer_key)
    return chunk_order(source)
