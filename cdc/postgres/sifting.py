"""Finding the rows that only the server can tell do not fit: a key too long for its index, say."""

from collections.abc import Sequence
from typing import Final

import psycopg

from cdc.postgres.changes import Aside, Ready
from cdc.postgres.connection import Connection
from cdc.postgres.misfit import Misfit
from cdc.postgres.quarantine import Quarantine
from cdc.postgres.translate import reason
from cdc.postgres.wire import Packed
from cdc.postgres.writer import TableWriter
from cdc.schema import Row

ROW_ERRORS: Final = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,  # a key too long for an index entry, a row for a page
    psycopg.errors.CheckViolation,  # SQLite's own may have been switched off, or be younger
    psycopg.errors.NotNullViolation,
)
"""What the server raises for a reason that lies in one row alone."""

BLOCK_ROWS: Final = 1000
"""Rows in one statement."""


class Sifting:
    """Writes rows of one table within the caller's transaction, and sets aside what is refused."""

    def __init__(self, conn: Connection, writer: TableWriter, quarantine: Quarantine) -> None:
        self._conn = conn
        self._writer = writer
        self._quarantine = quarantine

    def changes(self, ready: Ready) -> list[Aside]:
        """Write what was prepared with care; the rows that the server refuses."""
        try:
            with self._conn.transaction():
                send(self._conn, self._writer, ready)
        except (*ROW_ERRORS, Misfit):
            fit = ready.fit
            if fit is None or not self._quarantine.takes_any(self._writer.table):
                raise
        else:
            return []
        with self._writer.replacing(self._conn, ready.keys):
            return self.rows(fit.upserts, fit.seqs())

    def rows(self, rows: Sequence[Row], seqs: Sequence[int]) -> list[Aside]:
        """Write rows one by one, but as many at once as go together; those that are refused."""
        if not rows:
            return []
        try:
            with self._conn.transaction():
                for block in _blocks(rows):
                    self._writer.upsert(self._conn, self._writer.pack(block))
        except ROW_ERRORS as exc:
            if len(rows) == 1:
                return [self._set_aside(rows[0], seqs[0], exc)]
        else:
            return []
        half = len(rows) // 2
        return self.rows(rows[:half], seqs[:half]) + self.rows(rows[half:], seqs[half:])

    def _set_aside(self, row: Row, seq: int, refusal: psycopg.Error) -> Aside:
        table = self._writer.table
        if not self._quarantine.takes(table, None):
            raise refusal
        aside = Aside(table, row, seq, None, reason(refusal))
        # The last good image of the key may have a row in the target.
        self._writer.delete(self._conn, self._writer.pack_keys([aside.key]))
        return aside


def send(conn: Connection, writer: TableWriter, ready: Ready) -> None:
    """Write the changes of one table."""
    if isinstance(ready.rows, Packed):
        writer.replace(conn, ready.keys, ready.rows)
        return
    if ready.keys:
        writer.delete(conn, ready.keys)
    if ready.rows:
        writer.upsert(conn, ready.rows)


def _blocks(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[at : at + BLOCK_ROWS] for at in range(0, len(rows), BLOCK_ROWS)]
