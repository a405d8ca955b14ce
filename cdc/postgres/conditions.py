"""What every row of a target has to keep to, made good where the table was altered under its rows.

A table is made with its NOT NULLs and CHECKs. One that is altered gets them for new rows only, as
the copy that follows has yet to bring its rows in order; behind it they are made to hold for all.
The catalogue says what is missing, so a kill at any moment is made good at the next start.
"""

from collections.abc import Iterator
from typing import Final

import psycopg

from cdc.constraints import Untranslated
from cdc.postgres.connection import Connection
from cdc.postgres.constraints import lasting
from cdc.postgres.ddl import CheckDesign, ColumnDesign, TableDesign, qualified, quoted
from cdc.postgres.translate import translated

_PROOF: Final = quoted("_cdc_not_null")
"""A CHECK that is there for a moment: with it SET NOT NULL need not look at the rows itself, which
would keep everybody else from the table."""

_NULLABLE: Final = (
    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
    " AND NOT attisdropped AND NOT attnotnull"
)
_UNPROVEN: Final = (
    "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'"
    " AND NOT convalidated"
)


def complete(conn: Connection, design: TableDesign) -> list[Untranslated]:
    """Make what the design says of rows hold for all of them, without holding anybody up.

    Returns what rows of the table do not keep to. Raises TargetUnavailable.
    """
    name = qualified(design.table)
    with translated(f"look at the conditions of {name}"):
        nullable = {column for (column,) in conn.execute(_NULLABLE, (name,))}
        unproven = {check for (check,) in conn.execute(_UNPROVEN, (name,))}
    missing = [
        _require(conn, name, column)
        for column in design.columns
        if column.not_null and column.plain_name in nullable
    ]
    missing += [_validate(conn, name, each) for each in design.checks if each.name in unproven]
    return [each for each in missing if each is not None]


def _require(conn: Connection, table: str, column: ColumnDesign) -> Untranslated | None:
    what = f"NOT NULL of {column.plain_name}"
    try:
        for statement in _requiring(table, column.name):
            conn.execute(statement.encode())
    except psycopg.errors.CheckViolation:
        with translated(f"leave {table} as it was"):
            conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {_PROOF}".encode())
        return Untranslated(what, "", "rows of the target have none")
    except psycopg.Error as exc:
        return Untranslated(what, "", lasting(exc, f"set {what}"))
    return None


def _requiring(table: str, column: str) -> Iterator[str]:
    """Each a transaction of its own: only the first and the last keep others off, for a moment."""
    alter = f"ALTER TABLE {table}"
    yield (
        f"{alter} DROP CONSTRAINT IF EXISTS {_PROOF},"
        f" ADD CONSTRAINT {_PROOF} CHECK ({column} IS NOT NULL) NOT VALID"
    )
    yield f"{alter} VALIDATE CONSTRAINT {_PROOF}"
    # Apart from each other: SET NOT NULL looks for the proof before anything of the same statement.
    yield f"{alter} ALTER COLUMN {column} SET NOT NULL"
    yield f"{alter} DROP CONSTRAINT {_PROOF}"


def _validate(conn: Connection, table: str, check: CheckDesign) -> Untranslated | None:
    statement = f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(check.name)}"
    try:
        conn.execute(statement.encode())
    except psycopg.errors.CheckViolation:
        return Untranslated(
            f"CHECK {check.name}", check.text, "rows break it; it is there, but NOT VALID"
        )
    except psycopg.Error as exc:
        return Untranslated(f"CHECK {check.name}", check.text, lasting(exc, "validate a CHECK"))
    return None
