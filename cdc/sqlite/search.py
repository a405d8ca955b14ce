"""The rows of a table for which something is true, counted within the lock bound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.schema import Key, Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.order import fill_order
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import TableWalk

MOST_EXAMPLES: Final = 3
READ_ROWS: Final = 20_000


@dataclass(slots=True)
class FoundRows:
    """How many rows there are, and the keys of the first few."""

    count: int = 0
    examples: list[Key] = field(default_factory=list)


def find_rows(
    file: SourceFile,
    table: SourceTable,
    conditions: Sequence[str],
    *,
    lock_bound_seconds: float,
    advance: Callable[[int], object] = lambda _: None,
) -> list[FoundRows]:
    """For each condition the rows for which it is true; in them `_cdc_t` is the table.

    Looks at every row in one pass, and holds SQLite's lock for no longer than the bound at a time;
    `advance` hears of the rows seen.
    """
    # No WHERE: rows that it leaves out would take time unseen.
    key = key_terms(table)
    walk = TableWalk(file, table, order=fill_order(table), expressions=[*key, *conditions])
    bound = Bound(lock_bound_seconds / 2, READ_ROWS)
    found = [FoundRows() for _ in conditions]
    place: Row | None = None
    last, seen = False, 0
    while not last:
        with file.reading():
            stretch = walk.read(place, bound)
        for i, each in enumerate(found, start=len(key)):
            keys = [row[: len(key)] for row in stretch.rows if row[i]]
            each.count += len(keys)
            each.examples += keys[: MOST_EXAMPLES - len(each.examples)]
        seen += stretch.count
        advance(seen)
        place, last = stretch.place, stretch.last
    return found


def key_terms(table: SourceTable) -> list[str]:
    """The key of a row as expressions, in which `_cdc_t` is the table."""
    if table.table.rowid_key:
        return [f"_cdc_t.{table.rowid}"]
    return [f"_cdc_t.{quote(column.name)}" for column in table.table.key_columns]
