"""Target tables: made with their guard, dropped only where they are ours.

A table is ours when `cdc.captured_table` names it and it carries the guard; any other is left
alone, whatever its name. All of these functions are one transaction each.
"""

from typing import Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.constraints import NO_CONSTRAINTS, Constraints
from cdc.errors import TargetRefused
from cdc.mapping.extras import Extras
from cdc.mapping.table import MappedTable
from cdc.postgres import ddl
from cdc.postgres.connection import Connection
from cdc.postgres.constraints import drop_references
from cdc.postgres.extras import alterations, trials
from cdc.postgres.generated import removal
from cdc.postgres.identifiers import MAX_COLUMNS
from cdc.postgres.state import lock_making
from cdc.postgres.translate import translated

WORTH_WORKERS_BYTES: Final = 512 * 1024 * 1024
"""The size from which on a table's key is built by as many processes as the server likes."""


def make_table(
    conn: Connection,
    source: str,
    table: MappedTable,
    *,
    definition: object,
    since_seq: int,
    constraints: Constraints = NO_CONSTRAINTS,
) -> None:
    """Make an empty target table, guarded, with its row in `cdc.captured_table` ('copying').

    A target of ours that the captured table has already goes, whatever its name. `definition` is
    kept as given (JSON); `since_seq` is the position from which the changelog has the table's
    events. Raises TargetRefused where either target is not ours, or where something in the database
    depends on the old one.
    """
    with translated(f"make table {_label(table)}"), conn.transaction():
        lock_making(conn)
        for schema, name in _targets(conn, source, table.source.name):
            _drop(conn, schema, name)
        refuse_existing(conn, table)
        _create(
            conn,
            source,
            table,
            definition=definition,
            since_seq=since_seq,
            constraints=constraints,
        )


def alter_extras(
    conn: Connection, source: str, table: MappedTable, *, before: Extras, definition: object
) -> None:
    """Give a target table of ours its extras in the place of those `before`, and keep that."""
    with translated(f"alter table {_label(table)}"), conn.transaction():
        for statement in alterations(table, before):
            conn.execute(statement.encode())
        conn.execute(
            "UPDATE cdc.captured_table SET definition = %s, updated_at = now()"
            " WHERE source = %s AND name = %s",
            (Jsonb(definition), source, table.source.name),
        )


def drop_table(conn: Connection, source: str, name: str) -> None:
    """Drop the target of the captured table `name`, and forget it; TargetRefused if not ours."""
    with translated(f"drop the target of {name!r}"), conn.transaction():
        lock_making(conn)
        for target in _owned(conn, source, name):
            _drop(conn, *target)


def forget_missing(conn: Connection, source: str) -> None:
    """Forget the targets of a source that somebody has dropped."""
    with translated(f"look for the targets of {source!r}"), conn.transaction():
        lock_making(conn)
        rows = conn.execute(
            "SELECT target_schema, target_name FROM cdc.captured_table WHERE source = %s", (source,)
        ).fetchall()
        for schema, name in rows:
            if not exists(conn, schema, name):
                _forget(conn, schema, name)


def drop_key(conn: Connection, table: MappedTable) -> bool:
    """Take the primary key off a target table that is empty; whether it was, and is off.

    To build the index once, behind the rows, costs a third less than to keep it up row by row.
    """
    name = sql.Identifier(table.schema, table.name)
    with translated(f"drop the key of {_label(table)}"), conn.transaction():
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name).as_bytes(conn))
        key = _key_name(conn, table)
        has_rows = _one(conn, sql.SQL("SELECT 1 FROM {} LIMIT 1").format(name).as_string(conn))
        if key is None or has_rows:
            return key is None
        # Some versions take NOT NULL off together with the key.
        not_null = sql.SQL(", ").join(
            sql.SQL("ALTER {} SET NOT NULL").format(sql.Identifier(column.name))
            for column in table.key_columns
        )
        statement = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}, {}")
        conn.execute(statement.format(name, sql.Identifier(key), not_null).as_bytes(conn))
        return True


def add_key(conn: Connection, table: MappedTable) -> None:
    """Give a target table the primary key that `drop_key` took off; nothing where it has one.

    The rows were written in the order of the key, so there is hardly anything to sort: of a million
    rows several workers build it no sooner than one process does, and take 40 % more processor
    time, which the next table is copied in.
    """
    with translated(f"build the key of {_label(table)}"), conn.transaction():
        if _key_name(conn, table) is None:
            name = sql.Identifier(table.schema, table.name)
            key = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.key_columns)
            size = "SELECT pg_relation_size(%s::regclass) < %s"
            if _one(conn, size, _qualified(conn, table.schema, table.name), WORTH_WORKERS_BYTES):
                conn.execute("SET LOCAL max_parallel_maintenance_workers = 0")
            statement = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})")
            conn.execute(statement.format(name, key).as_bytes(conn))


def without_key(conn: Connection, source: str) -> set[str]:
    """The captured tables of a source whose targets have no primary key at the moment."""
    query = (
        "SELECT t.name FROM cdc.captured_table t"
        " JOIN pg_namespace n ON n.nspname = t.target_schema"
        " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.target_name"
        " WHERE t.source = %s AND NOT EXISTS"
        " (SELECT FROM pg_constraint WHERE contype = 'p' AND conrelid = c.oid)"
    )
    with translated(f"look for the keys of source {source!r}"):
        return {name for (name,) in conn.execute(query, (source,))}


def release_table(conn: Connection, source: str, name: str) -> None:
    """Leave the target of the captured table `name` to the operator: no guard, not ours any more.

    Raises TargetRefused where it is not ours.
    """
    with translated(f"release the target of {name!r}"), conn.transaction():
        lock_making(conn)
        for schema, target in _owned(conn, source, name):
            refuse_foreign(conn, schema, target)
            _run(conn, sql.SQL("DROP TRIGGER IF EXISTS _cdc_guard ON {}"), schema, target)
            _forget(conn, schema, target)


def _create(
    conn: Connection,
    source: str,
    table: MappedTable,
    *,
    definition: object,
    since_seq: int,
    constraints: Constraints,
) -> None:
    if len(table.columns) > MAX_COLUMNS:
        raise TargetRefused(
            f"{_label(table)} would have {len(table.columns)} columns; PostgreSQL allows"
            f" {MAX_COLUMNS}",
            hint="exclude the table, or split it before the migration",
        )
    _ensure_schema(conn, table.schema)
    made = ddl.design(table, constraints)
    for statement in (
        made.create,
        *made.comments,
        *made.generation.statements,
        *trials(table),
    ):
        conn.execute(statement.encode())
    conn.execute("SELECT cdc.protect(%s::regclass)", (_qualified(conn, table.schema, table.name),))
    conn.execute(
        "INSERT INTO cdc.captured_table"
        " (source, name, target_schema, target_name, definition, since_seq)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (source, table.source.name, table.schema, table.name, Jsonb(definition), since_seq),
    )


def _ensure_schema(conn: Connection, schema: str) -> None:
    if schema == "cdc":
        raise TargetRefused(
            "the schema cdc holds the state of cdc itself", hint="choose another target schema"
        )
    # IF NOT EXISTS would ask for the right to create a schema even where it exists.
    if _one(conn, "SELECT 1 FROM pg_namespace WHERE nspname = %s", schema) is None:
        with translated(f"create schema {schema}"):
            conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)).as_bytes(conn))


def refuse_existing(conn: Connection, table: MappedTable) -> None:
    """Raise TargetRefused where the name of a target table is taken."""
    if not exists(conn, table.schema, table.name):
        return
    owner = _one(
        conn,
        "SELECT format('it is the target of %%L in source %%L', name, source)"
        " FROM cdc.captured_table WHERE target_schema = %s AND target_name = %s",
        table.schema,
        table.name,
    )
    raise TargetRefused(
        f"{_label(table)} exists already; {owner or 'cdc did not make it'}",
        hint="rename or drop it, or choose another schema for this source, or another name for the"
        " table, in the configuration",
    )


def refuse_foreign(conn: Connection, schema: str, name: str) -> None:
    """Refuse to touch what took a table's place: a table of ours carries the guard."""
    if exists(conn, schema, name) and not _one(
        conn,
        "SELECT cdc.is_protected(%s::regclass) OR NULL",
        _qualified(conn, schema, name),
    ):
        raise TargetRefused(
            f"{schema}.{name} does not carry the guard of cdc: it is not the table that cdc made",
            hint="move it out of the way: ALTER TABLE … RENAME TO …",
        )


def still_needed(table: str, exc: psycopg.Error) -> TargetRefused:
    """The error for a target that cannot follow its source, because of what hangs on it."""
    detail = (exc.diag.message_detail or "").replace("\n", "; ")
    return TargetRefused(
        f"{table} cannot take the new shape of its source: {exc.diag.message_primary} ({detail})",
        hint="drop what depends on it, or exclude the table; then start cdc run again",
    )


def _drop(conn: Connection, schema: str, name: str) -> None:
    refuse_foreign(conn, schema, name)
    _refuse_adopted(conn, schema, name)
    drop_references(conn, schema, name)
    try:
        if exists(conn, schema, name):
            for statement in removal(schema, name):
                conn.execute(statement.encode())
        _run(conn, sql.SQL("DROP TABLE IF EXISTS {}"), schema, name)
    except psycopg.errors.DependentObjectsStillExist as exc:
        raise still_needed(f"{schema}.{name}", exc) from exc
    _forget(conn, schema, name)


def _refuse_adopted(conn: Connection, schema: str, name: str) -> None:
    adopted = _one(
        conn,
        "SELECT 1 FROM cdc.captured_table WHERE target_schema = %s AND target_name = %s"
        " AND definition @> '{\"adopted\": true}'",
        schema,
        name,
    )
    if adopted and exists(conn, schema, name):
        raise TargetRefused(
            f"{schema}.{name} was made by hand, and cdc does not drop it",
            hint="drop it yourself, or exclude the table in the configuration",
        )


def _forget(conn: Connection, schema: str, name: str) -> None:
    conn.execute(
        "DELETE FROM cdc.quarantine q USING cdc.captured_table t WHERE t.target_schema = %s"
        " AND t.target_name = %s AND q.source = t.source AND q.name = t.name",
        (schema, name),
    )
    conn.execute(
        "DELETE FROM cdc.captured_table WHERE target_schema = %s AND target_name = %s",
        (schema, name),
    )


def _targets(conn: Connection, source: str, name: str) -> list[tuple[str, str]]:
    return conn.execute(
        "SELECT target_schema, target_name FROM cdc.captured_table WHERE source = %s AND name = %s",
        (source, name),
    ).fetchall()


def _owned(conn: Connection, source: str, name: str) -> list[tuple[str, str]]:
    targets = _targets(conn, source, name)
    if not targets:
        raise TargetRefused(f"cdc keeps no target for {name!r} of source {source!r}")
    return targets


def exists(conn: Connection, schema: str, name: str) -> bool:
    """Whether there is a relation of this name: tables, views, indexes and sequences share them."""
    query = (
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s"
    )
    return _one(conn, query, schema, name) is not None


def _key_name(conn: Connection, table: MappedTable) -> str | None:
    name = _one(
        conn,
        "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass",
        _qualified(conn, table.schema, table.name),
    )
    return None if name is None else str(name)


def _one(conn: Connection, query: str, *params: object) -> object:
    row = conn.execute(query.encode(), params).fetchone()
    return row[0] if row else None


def _run(conn: Connection, statement: sql.SQL, schema: str, name: str) -> None:
    conn.execute(statement.format(sql.Identifier(schema, name)).as_bytes(conn))


def _qualified(conn: Connection, schema: str, name: str) -> str:
    return sql.Identifier(schema, name).as_string(conn)


def _label(table: MappedTable) -> str:
    return f"{table.schema}.{table.name}"
