"""What a command asks of the daemon that holds a source, and the answer.

Only the holder of a source's lock may write its target tables. So a command that must, while a
daemon runs, leaves a request in the target; the daemon takes it up within a second or so, and
answers in the same row.
"""

from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated


@dataclass(frozen=True, slots=True)
class Request:
    """`kind` says what is wanted, `argument` (JSON) of what."""

    id: int
    source: str
    kind: str
    argument: Any


def ask(conn: Connection, source: str, kind: str, argument: object) -> int:
    """Leave a request for the daemon of a source; its id."""
    with translated(f"ask the daemon of {source!r}"):
        row = conn.execute(
            "INSERT INTO cdc.request (source, kind, argument) VALUES (%s, %s, %s) RETURNING id",
            (source, kind, Jsonb(argument)),
        ).fetchone()
    assert row is not None
    return int(row[0])


def waiting(conn: Connection) -> list[Request]:
    """The requests without an answer, oldest first."""
    with translated("read the requests"), conn.cursor(row_factory=class_row(Request)) as cur:
        return cur.execute(
            "SELECT id, source, kind, argument FROM cdc.request WHERE answered_at IS NULL"
            " ORDER BY id"
        ).fetchall()


def is_waiting(conn: Connection, request: Request) -> bool:
    """Whether a request has no answer yet, and was not withdrawn."""
    with translated(f"look at request {request.id}"):
        row = conn.execute(
            "SELECT FROM cdc.request WHERE id = %s AND answered_at IS NULL", (request.id,)
        ).fetchone()
    return row is not None


def answer(conn: Connection, request: Request, words: object) -> None:
    """Answer a request; nothing happens where it was withdrawn."""
    with translated(f"answer request {request.id}"):
        conn.execute(
            "UPDATE cdc.request SET answered_at = clock_timestamp(), answer = %s WHERE id = %s",
            (Jsonb(words), request.id),
        )


def take_answer(conn: Connection, request_id: int) -> Any:
    """The answer to a request, which is done with then; None as long as there is none."""
    with translated(f"look for the answer to request {request_id}"):
        row = conn.execute(
            "DELETE FROM cdc.request WHERE id = %s AND answered_at IS NOT NULL RETURNING answer",
            (request_id,),
        ).fetchone()
    return row[0] if row else None


def withdraw(conn: Connection, request_id: int) -> bool:
    """Take a request back; False where it has been answered in the meantime."""
    with translated(f"withdraw request {request_id}"):
        deleted = conn.execute(
            "DELETE FROM cdc.request WHERE id = %s AND answered_at IS NULL", (request_id,)
        ).rowcount
    return deleted > 0
