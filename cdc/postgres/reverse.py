"""What PostgreSQL knows of the way back: the last batch that is in SQLite, and rows that are not.

`settle` follows the transaction of SQLite that a batch became. A kill between the two costs
nothing: the entries are still in the queue, are taken again, and lead to the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from cdc.postgres.connection import Connection
from cdc.postgres.queue import QueueBatch, prune
from cdc.postgres.translate import translated


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A row that SQLite could not hold: it has none there. `key` is its name in the queue, `column`
    that at fault, None where the row as a whole is.
    """

    name: str
    key: str
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A LeftBehind of a source, as it is kept."""

    source: str
    name: str
    key: str
    column_name: str | None
    reason: str
    set_aside_at: datetime


def settle(
    conn: Connection,
    source: str,
    batch: QueueBatch,
    left_behind: Sequence[LeftBehind],
    *,
    epoch: int,
    number: int,
) -> None:
    """Take a batch that is in SQLite, as its batch `number`, out of the queue.

    Its keys leave the quarantine, but for those that were left behind. Where a later batch has been
    settled already, which had all of these keys too, only its word on them counts.
    """
    with translated(f"settle batch {number} of {source}"), conn.transaction():
        newest = conn.execute(
            "INSERT INTO cdc.reverse AS r (source, epoch, batch) VALUES (%s, %s, %s)"
            " ON CONFLICT (source) DO UPDATE SET epoch = excluded.epoch, batch = excluded.batch,"
            " at = clock_timestamp()"
            " WHERE (r.epoch, r.batch) < (excluded.epoch, excluded.batch)",
            (source, epoch, number),
        ).rowcount
        if newest:
            _release(conn, source, batch)
            with conn.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO cdc.reverse_quarantine (source, name, key, column_name, reason)"
                    " VALUES (%s, %s, %s::jsonb, %s, %s)",
                    [(source, e.name, e.key, e.column, e.reason) for e in left_behind],
                )
        prune(conn, source, batch.ids)


def quarantined(conn: Connection, source: str) -> list[QuarantinedRow]:
    """The rows of a source that SQLite could not hold, oldest first."""
    with (
        translated(f"read the rows that {source} could not hold"),
        conn.cursor(row_factory=class_row(QuarantinedRow)) as cursor,
    ):
        return cursor.execute(
            "SELECT source, name, key::text AS key, column_name, reason, set_aside_at"
            " FROM cdc.reverse_quarantine WHERE source = %s ORDER BY set_aside_at, name, key",
            (source,),
        ).fetchall()


def requeue(conn: Connection, source: str) -> int:
    """Have the rows tried again that SQLite could not hold; how many."""
    with translated(f"queue again what {source} could not hold"):
        return conn.execute(
            "INSERT INTO cdc.queue (source, name, op, key)"
            " SELECT source, name, 'd', key FROM cdc.reverse_quarantine WHERE source = %s",
            (source,),
        ).rowcount


def _release(conn: Connection, source: str, batch: QueueBatch) -> None:
    for table in batch.tables:
        name = table.table.source.name
        if table.truncated:
            conn.execute(
                "DELETE FROM cdc.reverse_quarantine WHERE source = %s AND name = %s", (source, name)
            )
            continue
        conn.execute(
            "DELETE FROM cdc.reverse_quarantine q USING unnest(%s::text[]) AS k (key)"
            " WHERE q.source = %s AND q.name = %s AND md5(q.key::text) = md5(k.key)"
            " AND q.key = k.key::jsonb",
            ([row.name for row in table.rows], source, name),
        )
