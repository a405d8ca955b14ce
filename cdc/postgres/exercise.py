"""Writes to a target table that leave its rows as they are: so its way back has something to do."""

from typing import Final

import psycopg
from psycopg import sql

from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

SOME: Final = sql.Identifier("pg_temp", "cdc_some")


def rewrite(conn: Connection, table: MappedTable, rows: int, *, anew: bool) -> int:
    """Update some rows to what they are, and with `anew` delete and add others again; how many.

    As somebody else than cdc writes: the gate has to be open, and all of it is queued. `anew` is
    for sessions in which no foreign key acts.
    """
    with translated(f"write to {table.schema}.{table.name}"), conn.transaction():
        if not anew:
            return _update(conn, table, rows)
        try:
            with conn.transaction():
                written = _write_anew(conn, table, rows)
        except psycopg.errors.IntegrityError:
            written = 0  # somebody's own trigger or constraint is against it; an update will do
        return written + _update(conn, table, rows)


def _update(conn: Connection, table: MappedTable, rows: int) -> int:
    (first, *_) = (sql.Identifier(column.name) for column in table.key_columns)
    return conn.execute(
        sql.SQL("UPDATE {t} SET {k} = {k} WHERE ctid IN (SELECT ctid FROM {t} LIMIT {n})").format(
            t=sql.Identifier(table.schema, table.name), k=first, n=sql.Literal(rows)
        )
    ).rowcount


def _write_anew(conn: Connection, table: MappedTable, rows: int) -> int:
    names = {
        "t": sql.Identifier(table.schema, table.name),
        "some": SOME,
        "columns": sql.SQL(", ").join(sql.Identifier(c.name) for c in table.columns),
        "key": sql.SQL(", ").join(sql.Identifier(c.name) for c in table.key_columns),
        "n": sql.Literal(rows),
    }
    for statement in (
        "CREATE TEMPORARY TABLE cdc_some ON COMMIT DROP AS SELECT * FROM {t} LIMIT {n}",
        "DELETE FROM {t} WHERE ({key}) IN (SELECT {key} FROM {some})",
    ):
        conn.execute(sql.SQL(statement).format(**names))
    written = conn.execute(
        sql.SQL("INSERT INTO {t} OVERRIDING SYSTEM VALUE SELECT * FROM {some}").format(**names)
    ).rowcount
    conn.execute(sql.SQL("DROP TABLE {some}").format(**names))
    return written
