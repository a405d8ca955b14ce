"""Target tables as ends of foreign keys, read from the catalogue: another thread may keep them."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from cdc.constraints import folded
from cdc.mapping.terms import NotTranslatable
from cdc.postgres import state
from cdc.postgres.connection import Connection
from cdc.postgres.foreign_keys import ForeignKeyDesign, KeyEnd
from cdc.postgres.translate import translated

_COLUMNS = (
    "SELECT a.attname, format_type(a.atttypid, NULL), array_position(x.indkey::int2[], a.attnum)"
    " FROM pg_attribute a"
    " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_index x ON x.indrelid = c.oid AND x.indisprimary"
    " WHERE (n.nspname, c.relname) = (%s, %s) AND a.attnum > 0 AND NOT a.attisdropped"
)


def configured(design: ForeignKeyDesign) -> ForeignKeyDesign:
    """The same as a key that the configuration asks for: it goes when that asks for it no more."""
    mark = sha256(design.create.encode()).hexdigest()[:12]
    return replace(design, comment=f"Foreign key of the configuration, kept by cdc ({mark})")


def captured_table(conn: Connection, source: str, name: str) -> state.CapturedTable | None:
    """What is known of a table, in whichever case its name is written. Raises TargetError."""
    tables = state.captured_tables(conn, source)
    return next((each for each in tables if folded(each.name) == folded(name)), None)


def end(conn: Connection, table: state.CapturedTable, columns: Sequence[str]) -> KeyEnd:
    """These columns of a target, named as in SQLite; without any its key.

    Raises NotTranslatable where a column is left out of the target.
    """
    where = (table.target_schema, table.target_name)
    with translated(f"look at the columns of {'.'.join(where)}"):
        rows = conn.execute(_COLUMNS, where).fetchall()
    if columns:
        names = [_target_name(table, column) for column in columns]
    else:
        names = [name for _, name in sorted((at, name) for name, _, at in rows if at is not None)]
    types = {name: type_ for name, type_, _ in rows}
    return KeyEnd(*where, tuple((name, types[name]) for name in names if name in types))


def _target_name(table: state.CapturedTable, column: str) -> str:
    for each in table.definition["columns"]:
        if folded(each["source"]) == folded(column):
            return str(each["name"])
    target = f"{table.target_schema}.{table.target_name}"
    raise NotTranslatable(f"{column} is no column of {target}, or was left out of it")
