"""Indexes and foreign keys of the target tables: made where missing, dropped where in the way.

The catalogue alone says what is there, so a kill at any moment is made good at the next start. An
index of ours is known by its comment, a foreign key by its name. What PostgreSQL refuses to make
is returned with its reason: replication does not depend on it.
"""

from collections.abc import Iterable
from typing import Final

import psycopg
from psycopg import sql

from cdc.constraints import Untranslated
from cdc.errors import TargetUnavailable
from cdc.mapping.table import MappedTable
from cdc.mapping.terms import NotTranslatable
from cdc.postgres.connection import Connection
from cdc.postgres.ddl import IndexDesign, qualified, quoted
from cdc.postgres.foreign_keys import ForeignKeyDesign
from cdc.postgres.state import lock_making
from cdc.postgres.translate import reason, translate, translated

_OURS: Final = (
    "SELECT i.relname, obj_description(i.oid, 'pg_class') FROM pg_index x"
    " JOIN pg_class i ON i.oid = x.indexrelid"
    " WHERE x.indrelid = %s::regclass"
    " AND obj_description(i.oid, 'pg_class') LIKE 'Index %% kept by cdc (%%)'"
)

_CONFIGURED: Final = (
    "SELECT conname, obj_description(oid, 'pg_constraint') FROM pg_constraint"
    " WHERE contype = 'f' AND conrelid = %s::regclass AND obj_description(oid, 'pg_constraint')"
    " LIKE 'Foreign key of the configuration, kept by cdc (%%)'"
)


def make_indexes(
    conn: Connection, table: MappedTable, designs: Iterable[IndexDesign]
) -> list[Untranslated]:
    """Make the indexes that a table lacks and drop those of ours that it should not have.

    Returns those that PostgreSQL refuses. Raises TargetUnavailable.
    """
    wanted = {design.comment: design for design in designs}
    with translated(f"look for the indexes of {table.name}"):
        there: dict[str, str] = dict(conn.execute(_OURS, (qualified(table),)))
        for name, comment in there.items():
            if comment not in wanted:
                drop_index(conn, table.schema, name)
    refused = []
    for comment, design in wanted.items():
        if comment not in there.values():
            try:
                _make_index(conn, table, design)
            except psycopg.Error as exc:
                why = lasting(exc, f"make index {design.name}")
                refused.append(Untranslated(f"index {design.source}", "", why))
    return refused


def drop_index(conn: Connection, schema: str, name: str) -> None:
    """Drop an index of ours, and with it the foreign keys that rest on it."""
    with translated(f"drop index {name}"):
        statement = sql.SQL("DROP INDEX IF EXISTS {} CASCADE")
        conn.execute(statement.format(sql.Identifier(schema, name)))


def drop_indexes(conn: Connection, table: MappedTable) -> None:
    """Drop all secondary indexes of ours: rows that are copied anew may be in their way."""
    make_indexes(conn, table, ())


def drop_references(conn: Connection, schema: str, name: str) -> None:
    """Drop the foreign keys by which tables of ours refer to this one."""
    rows = conn.execute(
        "SELECT n.nspname, c.relname, f.conname FROM pg_constraint f"
        " JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN cdc.captured_table t ON (t.target_schema, t.target_name) = (n.nspname, c.relname)"
        " WHERE f.contype = 'f' AND f.confrelid <> f.conrelid"
        " AND f.confrelid = to_regclass(%s)",
        (sql.Identifier(schema, name).as_string(conn),),
    ).fetchall()
    for child_schema, child, key in rows:
        conn.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                sql.Identifier(child_schema, child), sql.Identifier(key)
            )
        )


def make_foreign_key(conn: Connection, design: ForeignKeyDesign) -> Untranslated | None:
    """Make a foreign key that is missing, and validate it once it has no orphans.

    The orphans are counted by a query: under session_replication_role = replica no write is
    checked. Returns what is not so. Raises TargetUnavailable.
    """
    what = f"foreign key {design.name}"
    try:
        validated = _validated(conn, design)
        if validated is None:
            with conn.transaction():
                lock_making(conn)
                if _validated(conn, design) is None:
                    for statement in design.statements:
                        conn.execute(statement.encode())
        row = conn.execute(design.orphans.encode()).fetchone()
        orphans = row[0] if row else 0
        if orphans:
            why = f"{orphans:,} rows refer to none; it is there, but NOT VALID"
            return Untranslated(what, "", why)
        if not validated:
            conn.execute(design.validate.encode())
    except psycopg.Error as exc:
        return Untranslated(what, "", lasting(exc, f"make {what}"))
    except NotTranslatable as exc:
        return Untranslated(what, "", str(exc))
    return None


def drop_unwanted(
    conn: Connection, schema: str, table: str, wanted: Iterable[ForeignKeyDesign]
) -> None:
    """Drop the keys of a table that the configuration asked for, and asks for no more."""
    child = sql.Identifier(schema, table).as_string(conn)
    names = {(design.name, design.comment) for design in wanted}
    with translated(f"look for the foreign keys of {child}"), conn.transaction():
        lock_making(conn)
        for name, comment in conn.execute(_CONFIGURED, (child,)).fetchall():
            if (name, comment) not in names:
                conn.execute(f"ALTER TABLE {child} DROP CONSTRAINT {quoted(name)}".encode())


def _make_index(conn: Connection, table: MappedTable, design: IndexDesign) -> None:
    try:
        _create_index(conn, table, design, design.name)
    except (psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation) as exc:
        # Tables and indexes of a schema share their names; another file may have the same ones,
        # and be at this very moment about to make them.
        if exc.sqlstate == "23505" and exc.diag.constraint_name != "pg_class_relname_nsp_index":
            raise
        _create_index(conn, table, design, design.second_name)


def _create_index(conn: Connection, table: MappedTable, design: IndexDesign, name: str) -> None:
    comment = sql.SQL("COMMENT ON INDEX {} IS {}").format(
        sql.Identifier(table.schema, name), sql.Literal(design.comment)
    )
    with conn.transaction():
        conn.execute(design.create(name).encode())
        conn.execute(comment)


def _validated(conn: Connection, design: ForeignKeyDesign) -> bool | None:
    """Whether the foreign key is valid, None where there is none."""
    row = conn.execute(
        "SELECT convalidated, coalesce(obj_description(oid, 'pg_constraint'), '')"
        " FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid = %s::regclass AND conname = %s",
        (design.child, design.name),
    ).fetchone()
    if row and row[1] != design.comment:
        raise NotTranslatable("the table has another foreign key of that name")
    return row[0] if row else None


def lasting(exc: psycopg.Error, action: str) -> str:
    """Why PostgreSQL refuses; raises what may pass by itself."""
    error = translate(exc, action)
    if isinstance(error, TargetUnavailable):
        raise error from exc
    return reason(exc)
