"""Target tables that were made by hand: compared with the mapping, and taken as they are.

Nothing of such a table is altered but that it gets the guard, and the queue's triggers as every
target does; it is never dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.errors import TargetRefused
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.postgres.connection import Connection
from cdc.postgres.ddl import is_text_type, qualified
from cdc.postgres.state import lock_making
from cdc.postgres.translate import translated

_LONG_NAMES: Final = {
    "varchar": "character varying",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
"""The names that the catalogue has for types which are known by shorter ones, too."""

_COLUMNS: Final = (
    "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " a.atthasdef OR a.attidentity <> '', a.attidentity = 'a' OR a.attgenerated <> '',"
    " coalesce(l.collcollate, '') IN ('C', 'POSIX') OR l.collname = 'default'"
    "   AND (SELECT datcollate FROM pg_database WHERE datname = current_database())"
    "   IN ('C', 'POSIX'),"
    " array_position(x.indkey::int2[], a.attnum)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
    " LEFT JOIN pg_index x ON x.indrelid = c.oid AND x.indisprimary"
    " WHERE n.nspname = ANY (%s) AND c.relkind = 'r'"
    " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as the catalogue has it. `computed` says that PostgreSQL alone gives its values,
    `in_bytes` that its texts are sorted by their bytes; `place` is that in the key, if any.
    """

    name: str
    type: str
    not_null: bool
    has_default: bool
    computed: bool
    in_bytes: bool
    place: int | None


def refuse_differences(conn: Connection, table: MappedTable) -> None:
    """Raise TargetRefused, with everything in which a table is not as the mapping wants it."""
    label = f"{table.schema}.{table.name}"
    with translated(f"look at {label}"):
        found = found_columns(conn, [table.schema]).get((table.schema, table.name))
    if found is None:
        raise TargetRefused(
            f"{label} is to be there already (existing = true), but there is no such table",
            hint="make it, or take `existing` out of the configuration",
        )
    if unlike := list(differences(table, found)):
        raise TargetRefused(
            f"{label} was made by hand and does not fit: {'; '.join(unlike)}",
            hint="alter the table, or give the columns other types or names in the configuration;"
            " `cdc plan` shows what each becomes",
        )


def found_columns(
    conn: Connection, schemas: list[str]
) -> dict[tuple[str, str], dict[str, FoundColumn]]:
    """The columns of every table of these schemas, in their order, by schema and name."""
    found: dict[tuple[str, str], dict[str, FoundColumn]] = {}
    for schema, name, *column in conn.execute(_COLUMNS, (schemas,)).fetchall():
        found.setdefault((schema, name), {})[column[0]] = FoundColumn(*column)
    return found


def adopt_table(
    conn: Connection, source: str, table: MappedTable, *, definition: object, since_seq: int
) -> None:
    """Guard a table that was made by hand, and note it as captured ('copying').

    Raises TargetRefused where it differs from the mapping, holds rows, or is another's target.
    """
    name = qualified(table)
    with translated(f"adopt {name}"), conn.transaction():
        lock_making(conn)
        refuse_differences(conn, table)
        known = conn.execute(
            "SELECT source, name FROM cdc.captured_table"
            " WHERE (target_schema, target_name) = (%s, %s)",
            (table.schema, table.name),
        ).fetchone()
        if known is not None:
            raise TargetRefused(
                f"{name} is the target of {known[1]!r} in source {known[0]!r}",
                hint="choose another schema for this source in the configuration",
            )
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})")
        target = sql.Identifier(table.schema, table.name)
        if conn.execute(query.format(target)).fetchone() != (False,):
            raise TargetRefused(
                f"{name} was made by hand and holds rows already",
                hint="empty it; the copy brings the rows of SQLite",
            )
        conn.execute("SELECT cdc.protect(%s::regclass)", (name,))
        conn.execute(
            "INSERT INTO cdc.captured_table"
            " (source, name, target_schema, target_name, definition, since_seq)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (source, table.source.name, table.schema, table.name, Jsonb(definition), since_seq),
        )


def differences(table: MappedTable, found: Mapping[str, FoundColumn]) -> Iterator[str]:
    """Everything in which a table is not as the mapping wants it."""
    for column in table.columns:
        if column.name not in found:
            yield f"column {column.name} {column.type.sql} is missing"
        else:
            in_key = column in table.key_columns
            yield from _column_differences(column, found[column.name], in_key=in_key)
    for added in table.extras.added:
        if added.name not in found:
            yield f"column {added.name}, which the configuration adds, is missing"
    wanted = {column.name for column in table.columns}
    for own in found.values():
        if own.name not in wanted and own.not_null and not own.has_default:
            yield f"column {own.name} is not in SQLite, yet NOT NULL and without a default"
    places = sorted((c.place, c.name) for c in found.values() if c.place is not None)
    key, asked = [name for _, name in places], [column.name for column in table.key_columns]
    if key != asked:
        there = f"is ({', '.join(key)})" if key else "is missing"
        yield f"its primary key {there} and has to be ({', '.join(asked)})"


def _column_differences(wanted: TargetColumn, found: FoundColumn, *, in_key: bool) -> Iterator[str]:
    name, brackets, length = wanted.type.sql.partition("(")
    if found.type != _LONG_NAMES.get(name, name) + brackets + length:
        yield f"column {found.name} is {found.type} and has to be {wanted.type.sql}"
    elif in_key and is_text_type(found.type) and not found.in_bytes:
        yield f'column {found.name} belongs to the key and has to have COLLATE "C"'
    if found.computed:
        yield f"column {found.name} takes no values, as it is GENERATED ALWAYS"
