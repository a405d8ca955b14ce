"""What the target tables are, beside what they should be: columns, NOT NULL, key, guard and queue.

Equal rows in a table of another shape, or in one that others may write to, are no convergence.
"""

from collections.abc import Iterator, Mapping

from cdc.mapping.table import MappedTable
from cdc.postgres.adoption import FoundColumn, differences, found_columns
from cdc.postgres.connection import Connection
from cdc.postgres.ddl import takes_no_null
from cdc.postgres.translate import translated
from cdc.proof.outcome import Finding
from cdc.resources import load_sql


def look_at_columns(
    conn: Connection, tables: Mapping[str, MappedTable], made_by_hand: set[str]
) -> dict[str, list[Finding]]:
    """What is not as it should be of the columns of these targets, by the names in SQLite.

    Which columns a table that was made by hand has NOT NULL is its maker's business.
    """
    with translated("look at the target tables"):
        found = found_columns(conn, sorted({table.schema for table in tables.values()}))
    return {
        name: list(
            _column_findings(
                table, found.get((table.schema, table.name), {}), by_hand=name in made_by_hand
            )
        )
        for name, table in tables.items()
    }


def look_at_triggers(conn: Connection, source: str, name: str) -> list[Finding]:
    """What is not as it should be of the triggers of one target.

    This waits for whoever has locked the table, as to read its rows does.
    """
    with translated(f"look at the triggers of the target of {name}"):
        found = conn.execute(
            load_sql("postgres/proof_triggers.sql").encode(), (source, name)
        ).fetchone()
    return list(_trigger_findings(*(found or (None, False, False))))


def _column_findings(
    table: MappedTable, found: Mapping[str, FoundColumn], *, by_hand: bool
) -> Iterator[Finding]:
    if not found:
        yield Finding("column", "it is no plain table any more", contradicts=True)
        return
    for words in differences(table, found):
        yield Finding("column", words, contradicts=True)
    if by_hand:
        return
    for column in table.columns:
        there = found.get(column.name)
        if there is None or column in table.key_columns:
            continue
        wanted = takes_no_null(table.source.columns[column.source], column)
        if there.not_null and not wanted:
            yield Finding("not_null", f"column {column.name} is NOT NULL, and is not in SQLite")
        elif wanted and not there.not_null:
            yield Finding("not_null", f"column {column.name} is NOT NULL in SQLite only")


def _trigger_findings(guard: bool | None, always: bool, queued: bool) -> Iterator[Finding]:
    if guard is None:
        yield Finding("guard", "the guard is missing: anybody may write to it", contradicts=True)
    elif not guard:
        yield Finding("guard", "its trigger _cdc_guard is not the guard of cdc", contradicts=True)
    elif not always:
        yield Finding("guard", "the guard is not enabled ALWAYS", contradicts=True)
    if not queued:
        yield Finding("queue", "the triggers of the way back are missing or not enabled ALWAYS")
