"""Whether a file takes rows from PostgreSQL, and how far it has: the other end of the way back.

The epoch is the gate's, from when it was opened. It stands in the file, where an applier checks it
in the transaction that writes: one that slept through a switch and back writes nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cdc.errors import SourceError
from cdc.event import unix_seconds
from cdc.sqlite.captures import has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.moves import of_no_account
from cdc.sqlite.names import REVERSE


@dataclass(frozen=True, slots=True)
class Direction:
    """The file takes rows from PostgreSQL under `epoch`. `batch` counts the transactions that
    brought some, `at` (UTC) is when the last one did, None before the first.
    """

    epoch: int
    batch: int
    at: datetime | None = None


def read(file: SourceFile) -> Direction | None:
    """None where the application is the one that writes; for use within a transaction."""
    if not has_table(file, REVERSE):
        return None
    ((epoch, batch, at),) = list(file.query(f"SELECT epoch, batch, at FROM {REVERSE}"))
    moment = None if at is None else datetime.fromtimestamp(unix_seconds(at), UTC)
    return Direction(epoch, batch, moment)


def refuse_way_back(file: SourceFile, what: str) -> None:
    """Raise SourceError where PostgreSQL is master: `what` would let both sides take writes."""
    if read(file) is not None:
        raise SourceError(
            f"{file.path} takes rows from PostgreSQL, which is master: {what} would let both sides"
            " take writes.",
            hint="cdc rollback makes SQLite the master again; cdc cutover ends a run that was"
            " interrupted.",
        )


def arm(file: SourceFile, epoch: int) -> None:
    """Take rows from PostgreSQL from now on, under this epoch of its gate; in a write transaction.

    For the transaction that seals the file: then never both sides are written to.
    """
    disarm(file)
    with of_no_account(file):
        file.query(f"CREATE TABLE {REVERSE} (epoch INTEGER, batch INTEGER, at REAL)")
        file.query(f"INSERT INTO {REVERSE} VALUES (?, 0, NULL)", (epoch,))


def disarm(file: SourceFile) -> None:
    """Take no rows any more; in a write transaction, that of the thaw."""
    if has_table(file, REVERSE):
        with of_no_account(file):
            file.query(f"DROP TABLE {REVERSE}")


def count_batch(file: SourceFile) -> None:
    """Note that a batch has come; in the transaction that writes its rows."""
    file.query(f"UPDATE {REVERSE} SET batch = batch + 1, at = julianday('now')")
