"""Rows that refer to a row that is not there: SQLite looks at foreign keys only when told to."""

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
class Orphans:
    """How many rows refer to nothing, and the keys of the first few."""

    count: int = 0
    examples: list[Key] = field(default_factory=list)


def find_orphans(
    file: SourceFile,
    child: SourceTable,
    columns: Sequence[str],
    parent: str,
    referred: Sequence[str],
    *,
    lock_bound_seconds: float,
    advance: Callable[[int], object] = lambda _: None,
) -> Orphans:
    """The rows of `child` whose `columns`, none of them NULL, are not the `referred` ones of any
    row of `parent`, which must have a unique index on them.

    Holds SQLite's lock for no longer than the bound at a time; `advance` hears of the rows seen.
    """
    walk = TableWalk(
        file,
        child,
        order=fill_order(child),
        expressions=[*_key(child), _is_orphan(columns, parent, referred)],
    )
    bound = Bound(lock_bound_seconds / 2, READ_ROWS)
    found = Orphans()
    place: Row | None = None
    last, seen = False, 0
    while not last:
        with file.reading():
            stretch = walk.read(place, bound)
        orphans = [row[:-1] for row in stretch.rows if row[-1]]
        found.count += len(orphans)
        found.examples += orphans[: MOST_EXAMPLES - len(found.examples)]
        seen += stretch.count
        advance(seen)
        place, last = stretch.place, stretch.last
    return found


def _key(child: SourceTable) -> list[str]:
    if child.table.rowid_key:
        return [f"_cdc_t.{child.rowid}"]
    return [f"_cdc_t.{quote(column.name)}" for column in child.table.key_columns]


def _is_orphan(columns: Sequence[str], parent: str, referred: Sequence[str]) -> str:
    """An expression of a row: no condition, for rows that it leaves out would take time unseen."""
    present = " AND ".join(f"_cdc_t.{quote(column)} IS NOT NULL" for column in columns)
    # As SQLite itself compares: with the parent's collation and affinity, and by its index. The
    # plus takes the child's own affinity away.
    same = " AND ".join(
        f"_cdc_p.{quote(theirs)} = +_cdc_t.{quote(own)}"
        for own, theirs in zip(columns, referred, strict=True)
    )
    return f"{present} AND NOT EXISTS (SELECT 1 FROM {quote(parent)} AS _cdc_p WHERE {same})"
