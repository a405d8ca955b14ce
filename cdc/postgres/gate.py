"""The gate: who may write to the target tables. Its SQL is `triggers/postgres/guard.sql`."""

from dataclasses import dataclass

from psycopg.rows import class_row

from cdc.errors import TargetRefused
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated


@dataclass(frozen=True, slots=True)
class Gate:
    """`open` is false while SQLite is master. Each change of it makes the next epoch."""

    open: bool
    epoch: int


def read_gate(conn: Connection) -> Gate:
    """The gate as it is now. An applier keeps the epoch and hands it over with each batch."""
    with translated("read the gate"), conn.cursor(row_factory=class_row(Gate)) as cur:
        gate = cur.execute("SELECT open, epoch FROM cdc.gate").fetchone()
    if gate is None:
        raise TargetRefused("the gate is gone from the schema cdc", hint="cdc.gate must hold a row")
    return gate
