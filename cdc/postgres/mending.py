"""A target table brought into another shape by ALTER, so that it stays the table that it is.

What hangs on it (grants, views, foreign keys, its guard) stays as well. What its columns hold after
that is up to the copy that follows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import psycopg
from psycopg import sql

from cdc.constraints import Constraints
from cdc.mapping.definition import load_extras
from cdc.mapping.table import MappedTable
from cdc.postgres import ddl
from cdc.postgres.connection import Connection
from cdc.postgres.constraints import drop_indexes, drop_references
from cdc.postgres.extras import alterations
from cdc.postgres.generated import removal
from cdc.postgres.state import CapturedTable, lock_making
from cdc.postgres.tables import refuse_existing, refuse_foreign, still_needed
from cdc.postgres.translate import translated

Origins = tuple[str | None, ...]
"""For each column of a new mapping that of the old target that it goes on from, None for a new
column."""


def step_aside(conn: Connection, existing: CapturedTable, number: int) -> CapturedTable:
    """Give the target of a captured table names that nobody else has, so that others may take its
    own; `number` tells apart those that do so at the same time.

    The caller's transaction has to mend or drop it. Raises TargetRefused where it is not ours.
    """
    before = (existing.target_schema, existing.target_name)
    name = f"_cdc_moving_{number}"
    with translated(f"rename table {'.'.join(before)}"), conn.transaction():
        lock_making(conn)
        refuse_foreign(conn, *before)
        old = sql.Identifier(*before).as_string(conn)
        named = chain(removal(*before), _without_constraints(conn, before, old))
        for statement in [*named, *_renamed(old, before[1], name)]:
            conn.execute(statement.encode())
        _rename_state(conn, existing, name, name)
    return replace(existing, name=name, target_name=name)


def can_mend(
    conn: Connection, existing: CapturedTable, table: MappedTable, origins: Origins
) -> bool:
    """Whether the target may stay: in its schema, and with the key that it has."""
    key = [origins[i] for i in table.key_at]
    return existing.target_schema == table.schema and key == _key(conn, existing)


def mend_table(
    conn: Connection,
    existing: CapturedTable,
    table: MappedTable,
    origins: Origins,
    *,
    constraints: Constraints,
) -> None:
    """Give the target of a captured table the shape of `table`, whose name and columns may differ.

    Only for what `can_mend` allows. Raises TargetRefused, and changes nothing, where the target is
    not ours, where another table has the new name, or where something depends on a column that
    goes.
    """
    before = (existing.target_schema, existing.target_name)
    action = f"alter table {'.'.join(before)}"
    with translated(action), conn.transaction():
        lock_making(conn)
        refuse_foreign(conn, *before)
        if before != (table.schema, table.name):
            refuse_existing(conn, table)
        kept = set(origins)
        gone = [each["name"] for each in existing.definition["columns"] if each["name"] not in kept]
        design = ddl.design(table, constraints)
        if gone:
            drop_references(conn, *before)
        try:
            old = sql.Identifier(*before).as_string(conn)
            statements = chain(
                removal(*before),
                _without_constraints(conn, before, old),
                _renamed(old, before[1], table.name),
                _without_columns(table, gone),
                alterations(table, load_extras(existing.definition)),
                _statements(table, origins, design),
                design.generation.statements,
            )
            for statement in list(statements):
                conn.execute(statement.encode())
        except psycopg.errors.DependentObjectsStillExist as exc:
            raise still_needed(f"{table.schema}.{table.name}", exc) from exc
        # Rows that are copied anew may be in each other's way; they are made again behind the copy.
        drop_indexes(conn, table)
        _rename_state(conn, existing, table.source.name, table.name)


def _rename_state(conn: Connection, existing: CapturedTable, name: str, target: str) -> None:
    """Have a target known by other names; the copy that follows sets rows aside under these."""
    conn.execute(
        "DELETE FROM cdc.quarantine WHERE source = %s AND name = %s",
        (existing.source, existing.name),
    )
    conn.execute(
        "UPDATE cdc.captured_table SET name = %s, target_name = %s WHERE source = %s AND name = %s",
        (name, target, existing.source, existing.name),
    )


def empty_table(conn: Connection, table: MappedTable) -> None:
    """Take all rows out of a target table, inside the caller's transaction."""
    name = sql.Identifier(table.schema, table.name)
    conn.execute("SELECT set_config('cdc.session', 'on', true)")
    try:
        with conn.transaction():
            conn.execute(sql.SQL("TRUNCATE {}").format(name).as_bytes(conn))
    except psycopg.errors.FeatureNotSupported:  # a foreign key refers to it
        conn.execute(sql.SQL("DELETE FROM {}").format(name).as_bytes(conn))


def _renamed(qualified: str, before: str, name: str) -> Iterator[str]:
    if before != name:
        yield f"ALTER TABLE IF EXISTS {qualified} RENAME TO {ddl.quoted(name)}"


def _without_columns(table: MappedTable, gone: Sequence[str]) -> Iterator[str]:
    for name in gone:
        yield f"ALTER TABLE {ddl.qualified(table)} DROP COLUMN {ddl.quoted(name)}"


def _statements(table: MappedTable, origins: Origins, design: ddl.TableDesign) -> Iterator[str]:
    alter = f"ALTER TABLE {ddl.qualified(table)}"
    yield from _renames(alter, table, origins)
    for column, origin in zip(design.columns, origins, strict=True):
        if origin is None:
            # Rows that are there already get their value by the copy that follows.
            required = " NOT NULL" if column.not_null and column.default else ""
            yield f"{alter} ADD COLUMN {column.name} {column.type}{required}{column.default}"
    yield from _settings(alter, table, origins, design)
    for check in design.checks:
        yield f"{alter} ADD {check.definition} NOT VALID"
    yield from design.comments


def _renames(alter: str, table: MappedTable, origins: Origins) -> Iterator[str]:
    moved = {
        origin: column.name
        for column, origin in zip(table.columns, origins, strict=True)
        if origin is not None and origin != column.name
    }
    # By way of names that nobody has: two columns may have changed places.
    for number, origin in enumerate(moved):
        yield f"{alter} RENAME COLUMN {ddl.quoted(origin)} TO _cdc_moving_{number}"
    for number, name in enumerate(moved.values()):
        yield f"{alter} RENAME COLUMN _cdc_moving_{number} TO {ddl.quoted(name)}"


def _settings(
    alter: str, table: MappedTable, origins: Origins, design: ddl.TableDesign
) -> Iterator[str]:
    """What a column that was kept may need no more, or take when it is left out."""
    for i, column in enumerate(design.columns):
        if origins[i] is None or i in table.key_at:
            continue
        if not column.not_null:
            yield f"{alter} ALTER COLUMN {column.name} DROP NOT NULL"
        setting = f"SET{column.default}" if column.default else "DROP DEFAULT"
        yield f"{alter} ALTER COLUMN {column.name} {setting}"


def _key(conn: Connection, existing: CapturedTable) -> list[str]:
    """The columns of a target's primary key, in order; none where there is no key."""
    rows = conn.execute(
        "SELECT a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'"
        " CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS part (number, place)"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = part.number"
        " WHERE n.nspname = %s AND c.relname = %s ORDER BY part.place",
        (existing.target_schema, existing.target_name),
    )
    return [name for (name,) in rows]


def _without_constraints(
    conn: Connection, before: tuple[str, str], qualified: str
) -> Iterator[str]:
    """Drops the checks, and the foreign keys that are named as ours are: they may be others now."""
    rows = conn.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s) AND (contype = 'c'"
        " OR contype = 'f' AND starts_with(conname, %s) AND conname LIKE %s)",
        (qualified, f"{before[1]}_", r"%\_fkey"),
    )
    for (name,) in rows:
        yield f"ALTER TABLE {qualified} DROP CONSTRAINT {ddl.quoted(name)}"
