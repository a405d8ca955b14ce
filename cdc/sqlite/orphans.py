"""Rows that refer to a row that is not there: SQLite looks at foreign keys only when told to."""

from collections.abc import Callable, Sequence

from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.search import FoundRows, find_rows


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


def _is_orphan(columns: Sequence[str], parent: str, referred: Sequence[str]) -> str:
    present = " AND ".join(f"_cdc_t.{quote(column)} IS NOT NULL" for column in columns)
    # As SQLite itself compares: with the parent's collation and affinity, and by its index. The
    # plus takes the child's own affinity away.
    same = " AND ".join(
        f"_cdc_p.{quote(theirs)} = +_cdc_t.{quote(own)}"
        for own, theirs in zip(columns, referred, strict=True)
    )
    return f"{present} AND NOT EXISTS (SELECT 1 FROM {quote(parent)} AS _cdc_p WHERE {same})"
