"""Rows that refer to a row that is not there: SQLite looks at foreign keys only when told to."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.order import fill_order
from cdc.sqlite.rows import Bound
from cdc.sqlite.search import MOST_EXAMPLES, READ_ROWS, FoundRows, find_rows, key_terms
from cdc.sqlite.walk import TableWalk


def find_orphans(
    file: SourceFile,
    child: SourceTable,
    columns: Sequence[str],
    parent: str,
    referred: Sequence[str],
    *,
    lock_bound_seconds: float,
    advance: Callable[[int], object] = lambda _: None,
) -> FoundRows:
    """The rows of `child` whose `columns`, none of them NULL, are not the `referred` ones of any
    row of `parent`, which must have a unique index on them.

    Holds SQLite's lock for no longer than the bound at a time; `advance` hears of the rows seen.
    """
    condition = _is_orphan(columns, parent, referred)
    [found] = find_rows(
        file, child, [condition], lock_bound_seconds=lock_bound_seconds, advance=advance
    )
    return found


@dataclass(frozen=True, slots=True)
class End:
    """Some columns of a table of an open file."""

    file: SourceFile
    table: SourceTable
    columns: Sequence[str]


def find_orphans_across(
    child: End,
    parent: End,
    *,
    lock_bound_seconds: float,
    advance: Callable[[int], object] = lambda _: None,
) -> FoundRows:
    """The same where the parent is in another file, whose lock is held as briefly.

    Two files are never seen at one moment: a row of which one side was written meanwhile may count.
    """
    key = key_terms(child.table)
    own = [f"_cdc_t.{quote(column)}" for column in child.columns]
    order = fill_order(child.table)
    walk = TableWalk(child.file, child.table, order=order, expressions=[*key, *own])
    bound = Bound(lock_bound_seconds / 2, READ_ROWS)
    same = " AND ".join(f"{quote(column)} = ?" for column in parent.columns)
    lookup = f"SELECT 1 FROM {quote(parent.table.name)} WHERE {same}"
    found = FoundRows()
    place: Row | None = None
    last, seen = False, 0
    while not last:
        with child.file.reading():
            stretch = walk.read(place, bound)
        rows = [(row[: len(key)], row[len(key) :]) for row in stretch.rows]
        wanted = {values for _, values in rows if None not in values}
        missing = _missing(parent.file, lookup, wanted, bound.seconds)
        orphans = [key_ for key_, values in rows if values in missing]
        found.count += len(orphans)
        found.examples += orphans[: MOST_EXAMPLES - len(found.examples)]
        seen += stretch.count
        advance(seen)
        place, last = stretch.place, stretch.last
    return found


def _missing(file: SourceFile, lookup: str, wanted: set[Row], seconds: float) -> set[Row]:
    """Those of `wanted` for which the lookup finds nothing."""
    missing = set()
    rest = list(wanted)
    while rest:
        with file.reading():
            end = time.monotonic() + seconds
            while rest and time.monotonic() < end:
                values = rest.pop()
                if not file.query(lookup, values).get:
                    missing.add(values)
    return missing


def _is_orphan(columns: Sequence[str], parent: str, referred: Sequence[str]) -> str:
    present = " AND ".join(f"_cdc_t.{quote(column)} IS NOT NULL" for column in columns)
    # As SQLite itself compares: with the parent's collation and affinity, and by its index. The
    # plus takes the child's own affinity away.
    same = " AND ".join(
        f"_cdc_p.{quote(theirs)} = +_cdc_t.{quote(own)}"
        for own, theirs in zip(columns, referred, strict=True)
    )
    return f"{present} AND NOT EXISTS (SELECT 1 FROM {quote(parent)} AS _cdc_p WHERE {same})"
