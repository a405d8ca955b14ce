"""Where a position is kept: how a transaction that moves it begins and ends.

Whatever keeps it is in the database of the rows, so that both are in one transaction.
"""

from typing import Final, Protocol

from psycopg import RawCursor
from psycopg.types.numeric import Int8

from cdc.errors import TargetRefused
from cdc.postgres.changes import Advance, Chunk
from cdc.postgres.connection import Connection
from cdc.postgres.keys import dump_key
from cdc.postgres.writer import GO_BY_INDEX

BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

_ENTER: Final = (
    b"SELECT cdc.enter($1, $2, $3), set_config('synchronous_commit', $4, true), " + GO_BY_INDEX
)
_ADVANCE: Final = (
    b"UPDATE cdc.source SET applied_seq = $2, applied_digest = $3,"
    b" applied_at = coalesce($4::float8, applied_at), updated_at = clock_timestamp()"
    b" WHERE name = $1"
)
_BOUNDARY: Final = (
    b"INSERT INTO cdc.boundary (source, seq, at) VALUES ($1, $2, $3::float8)"
    b" ON CONFLICT (source, seq) DO NOTHING"
)
_UNPROVEN: Final = b"INSERT INTO cdc.unproven (source, name, key) VALUES ($1, $2, $3)"
_PROGRESS: Final = (
    b"UPDATE cdc.captured_table SET last_key = $3::text, copied_rows = copied_rows + $4,"
    b" state = $5, updated_at = clock_timestamp() WHERE source = $1 AND name = $2"
)


class Ledger(Protocol):
    """Begins and ends transactions, each of which moves the position of one source."""

    def begin(self, conn: Connection, advance: Advance) -> None:
        """Begin, and lock the position; raises where it is not the one to be moved from.

        May be called in a pipeline.
        """

    def copied(self, conn: Connection, source: str, chunk: Chunk, rows: int) -> None:
        """Record that a chunk was written, with so many rows."""

    def finish(self, conn: Connection, advance: Advance) -> None:
        """Move the position, and commit. May be called in a pipeline."""


class TargetLedger:
    """The target's own: `cdc.source`, behind the guard and the gate."""

    def __init__(self, *, synchronous_commit: bool) -> None:
        self._synchronous_commit = "on" if synchronous_commit else "off"

    def begin(self, conn: Connection, advance: Advance) -> None:
        """As of `Ledger`; the gate has to be closed, too, and at the epoch of the caller."""
        conn.execute(BEGIN)
        RawCursor(conn).execute(
            _ENTER,
            (
                advance.source,
                Int8(advance.from_seq),
                Int8(advance.epoch),
                self._synchronous_commit,
            ),
            prepare=True,
        )

    def copied(self, conn: Connection, source: str, chunk: Chunk, rows: int) -> None:
        """As of `Ledger`."""
        last_key = None if chunk.last_key is None else dump_key(chunk.last_key)
        state = "live" if chunk.last else "copying"
        name = chunk.table.source.name
        cursor = RawCursor(conn).execute(_PROGRESS, (source, name, last_key, Int8(rows), state))
        if cursor.rowcount != 1:
            raise TargetRefused(f"the target has no table for {name!r} of source {source!r}")

    def finish(self, conn: Connection, advance: Advance) -> None:
        """As of `Ledger`; keeps boundaries, and what was written without an event, too."""
        position = (advance.source, Int8(advance.to_seq), advance.digest, advance.at)
        RawCursor(conn).execute(_ADVANCE, position, prepare=True)
        if advance.boundary:
            boundary = (advance.source, Int8(advance.to_seq), advance.at)
            RawCursor(conn).execute(_BOUNDARY, boundary, prepare=True)
        for name, key in advance.rewritten:
            RawCursor(conn).execute(_UNPROVEN, (advance.source, name, dump_key(key)), prepare=True)
        conn.execute(b"COMMIT")
