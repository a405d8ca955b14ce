"""Whether a file takes rows from PostgreSQL, and how far it has: the other end of the way back.

The epoch is the gate's, from when it was opened. It stands in the file, where an applier checks it
in the transaction that writes: one that slept through a switch and back writes nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cdc.errors import Finished, SourceError
from cdc.event import unix_seconds
from cdc.sqlite.captures import has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.moves import of_no_account
from cdc.sqlite.names import REVERSE


@dataclass(frozen=True, slots=True)
class Direction:
    """The file takes rows from PostgreSQL under `epoch`. `batch` counts the transactions that
    brought some, `at` (UTC) is when the last one did, None before the first.

    From `finished_at` (UTC) on it takes no more, from anybody: PostgreSQL is master for good.
    """

    epoch: int
    batch: int
    at: datetime | None = None
    finished_at: datetime | None = None


def read(file: SourceFile) -> Direction | None:
    """None where the application is the one that writes; for use within a transaction."""
    if not has_table(file, REVERSE):
        return None
    rows = file.query(f"SELECT epoch, batch, at, finished_at FROM {REVERSE}")
    ((epoch, batch, at, finished_at),) = list(rows)
    return Direction(epoch, batch, _moment(at), _moment(finished_at))


def refuse_way_back(file: SourceFile, what: str) -> None:
    """Raise SourceError where PostgreSQL is master: `what` would let both sides take writes.

    Finished where it is that for good.
    """
    stand = read(file)
    if stand is not None and stand.finished_at is not None:
        raise Finished(
            f"{file.path} is what the old system was at its end, and takes no writes any more:"
            f" PostgreSQL is the master for good since {stand.finished_at:%Y-%m-%d %H:%M} UTC.",
            hint="Write to PostgreSQL. To have the file free of all that is cdc's: cdc uninstall.",
        )
    if stand is not None:
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
        file.query(
            f"CREATE TABLE {REVERSE} (epoch INTEGER, batch INTEGER, at REAL, finished_at REAL)"
        )
        file.query(f"INSERT INTO {REVERSE} VALUES (?, 0, NULL, NULL)", (epoch,))


def disarm(file: SourceFile) -> None:
    """Take no rows any more; in a write transaction, that of the thaw."""
    if has_table(file, REVERSE):
        with of_no_account(file):
            file.query(f"DROP TABLE {REVERSE}")


def finish(file: SourceFile) -> None:
    """Take no rows any more, from anybody, for good; in a write transaction. May be repeated."""
    file.query(
        f"UPDATE {REVERSE} SET finished_at = julianday('now') WHERE finished_at IS NULL"
    ).fetchall()


def count_batch(file: SourceFile) -> None:
    """Note that a batch has come; in the transaction that writes its rows."""
    file.query(f"UPDATE {REVERSE} SET batch = batch + 1, at = julianday('now')")


def _moment(julian_day: float | None) -> datetime | None:
    return None if julian_day is None else datetime.fromtimestamp(unix_seconds(julian_day), UTC)
