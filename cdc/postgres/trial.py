"""The way back, tried while SQLite is master: a row of `cdc.canary`, and rows that are rolled back.

What writes here is a session like any other. The queue's triggers fire for it as they will for
everybody once the gate is open.
"""

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from cdc.mapping.table import MappedTable
from cdc.postgres import queue
from cdc.postgres.connection import Connection
from cdc.postgres.gate import open_gate, read_gate
from cdc.postgres.queue import QueueBatch
from cdc.postgres.state import lock_making
from cdc.postgres.translate import translated

SCHEMA: Final = "cdc"
TABLE: Final = "canary"

GATE_SECONDS: Final = 2.0
"""For writers of cdc's own to end; they wait for the trial then, for as long as one batch takes."""

ROWS: Final = 25
"""Of each table, those with the greatest keys."""


def release(conn: Connection, source: str, canary: MappedTable, number: int, sign: str) -> None:
    """Write the canary's row, as somebody else than cdc, for the queue to name it."""
    with translated("write the canary's row"), conn.transaction():
        queue.follow(conn, source, [canary])
        row = (number, sign, source)
        conn.execute("INSERT INTO cdc.canary (id, sign, source) VALUES (%s, %s, %s)", row)


def catch(conn: Connection, source: str, canary: MappedTable) -> QueueBatch:
    """What the queue says of the canary."""
    return queue.take(conn, source, [canary], limit=ROWS)


def clear(conn: Connection, source: str, name: str) -> None:
    """Take the canary's row and what the queue says of it away, an earlier one's as well; `name` is
    what it is called in SQLite.
    """
    with translated("clear the canary"), conn.transaction():
        lock_making(conn)  # another source's canary has the triggers in its turn
        conn.execute("SET LOCAL cdc.session = 'on'")  # nothing of this is for the queue
        conn.execute("SELECT cdc.unfollow('cdc.canary')")
        conn.execute("DELETE FROM cdc.canary WHERE source = %s", (source,))
        conn.execute("DELETE FROM cdc.queue WHERE source = %s AND name = %s", (source, name))


def touch(
    conn: Connection, source: str, tables: Sequence[MappedTable]
) -> tuple[QueueBatch, dict[str, int]]:
    """What the queue says when others have updated the newest rows of these tables, which sets them
    to what they are; and how many rows of each table that were. All of it is rolled back.

    The gate is open meanwhile for this one transaction, and so cdc's writers wait for it. Raises
    GateHeld, GateMoved.
    """
    with translated(f"try the queue of {source}"), conn.transaction(force_rollback=True):
        open_gate(conn, read_gate(conn).epoch, wait_seconds=GATE_SECONDS)
        touched = {table.source.name: conn.execute(_touch(table)).rowcount for table in tables}
        return queue.take_within(conn, source, tables, limit=ROWS * len(tables)), touched


def _touch(table: MappedTable) -> sql.Composed:
    columns = table.source.columns
    free = [
        c for c in table.columns if not columns[c.source].generated and c.source not in table.key
    ]
    target = sql.Identifier((free or table.key_columns)[0].name)
    keys = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.key_columns)
    newest = sql.SQL(", ").join(
        sql.SQL("{} DESC").format(sql.Identifier(column.name)) for column in table.key_columns
    )
    return sql.SQL(
        "UPDATE {table} SET {target} = {target} WHERE ({keys}) IN"
        " (SELECT {keys} FROM {table} ORDER BY {newest} LIMIT {rows})"
    ).format(
        table=sql.Identifier(table.schema, table.name),
        target=target,
        keys=keys,
        newest=newest,
        rows=sql.Literal(ROWS),
    )
