"""The write lock of a file: triggers by which SQLite itself refuses to change a captured table.

It binds every process, whatever library it uses, until the file is thawed. What it cannot hold
back: DDL (a DROP TABLE fires no trigger), tables that are not captured, statements that match no
row, and a connection that has switched its triggers off, as ours does for the way back.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cdc.errors import SourceError
from cdc.resources import load_sql
from cdc.sqlite import direction
from cdc.sqlite.captures import StoredCapture, has_table, stored_captures
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.log import read as read_log
from cdc.sqlite.moves import of_no_account
from cdc.sqlite.names import FREEZE, quote

EVENTS: Final = ("INSERT", "UPDATE", "DELETE")

LONGEST_REASON: Final = 200
"""Characters."""

_ON_TABLE: Final = (
    "SELECT name, tbl_name FROM sqlite_schema"
    r" WHERE type = 'trigger' AND name LIKE '\_cdc\_freeze\_%' ESCAPE '\'"
)


@dataclass(frozen=True, slots=True)
class Freeze:
    """A freeze of one file. `tables` refuse writes, each for `reason`, from `since` (UTC) on.

    `writable` are captured tables that take writes all the same: captured, or made anew by the
    application, since then.
    """

    since: datetime
    reason: str
    tables: tuple[str, ...]
    writable: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every captured table refuses writes."""
        return not self.writable


def read(file: SourceFile) -> Freeze | None:
    """The freeze of the file, None where it has none; for use within a transaction."""
    if not has_table(file, FREEZE):
        return None
    ((since, reason),) = list(file.query(f"SELECT since, reason FROM {FREEZE}"))
    captures = stored_captures(file)
    frozen = _frozen(file)
    return Freeze(
        datetime.fromtimestamp(since, UTC),
        reason,
        tuple(c.name for c in captures if c.name.lower() in frozen),
        tuple(c.name for c in captures if c.name.lower() not in frozen),
    )


def check_reason(reason: str) -> None:
    """Raise ValueError for a reason that would not do as a message of SQLite."""
    if not reason.strip() or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise ValueError(f"a reason is one line of 1 to {LONGEST_REASON} printable characters")


def freeze(file: SourceFile, reason: str, *, wait: Wait = time.sleep) -> bool:
    """Have every captured table refuse writes; False where all of them do already.

    One short transaction, which gives way to the legacy system's. A freeze that is there keeps its
    reason and its time; tables that have been captured since then join it. Raises SourceError where
    nothing is captured, SourceBusy where the legacy system left no gap.
    """
    with file.reading():
        _check_captured(file)
        found = read(file)
    if found is not None and found.complete:
        return False
    return file.write(lambda: put(file, reason, datetime.now(UTC)), wait=wait)


def thaw(file: SourceFile, *, wait: Wait = time.sleep) -> bool:
    """Let the tables take writes again, in one short transaction; whether they did not before.

    Raises SourceError where PostgreSQL is master, and SourceBusy.
    """
    with file.reading():
        if read(file) is None:
            return False
    return file.write(lambda: _thaw(file), wait=wait)


def put(file: SourceFile, reason: str, since: datetime) -> bool:
    """As `freeze`, inside a write transaction of the caller's; rolling that back is a thaw."""
    check_reason(reason)
    _check_captured(file)
    found = read(file)
    if found is not None and found.complete:
        return False
    with of_no_account(file):
        if found is None:
            file.query(f"CREATE TABLE {FREEZE} (since REAL, reason TEXT, sealed INTEGER)")
            file.query(f"INSERT INTO {FREEZE} VALUES (?, ?, 0)", (since.timestamp(), reason))
        else:
            since, reason = found.since, found.reason
        for capture in stored_captures(file):
            if found is None or capture.name in found.writable:
                _freeze_table(file, capture, reason, since)
    return True


def lift(file: SourceFile) -> bool:
    """As `thaw`, inside a write transaction of the caller's, who knows who is master."""
    if not has_table(file, FREEZE):
        return False
    with of_no_account(file):
        for name, _ in _triggers(file):
            file.query(f"DROP TRIGGER {quote(name)}")
        file.query(f"DROP TABLE {FREEZE}")
    return True


def _thaw(file: SourceFile) -> bool:
    direction.refuse_way_back(file, "a thaw")
    return lift(file)


def release(file: SourceFile, table: str) -> None:
    """Let one table take writes again, since it is not captured any more; within a transaction."""
    for name, on_table in _triggers(file):
        if on_table.lower() == table.lower():
            file.query(f"DROP TRIGGER {quote(name)}")


def _check_captured(file: SourceFile) -> None:
    if read_log(file) is None or not stored_captures(file):
        raise SourceError(
            f"{file.path} has no captured table that could be frozen.",
            hint="Run cdc install for this source first.",
        )


def _triggers(file: SourceFile) -> list[tuple[str, str]]:
    """The triggers of freezes, each with its table."""
    return [(str(name), str(table)) for name, table in file.query(_ON_TABLE)]


def _frozen(file: SourceFile) -> set[str]:
    """The tables, in small letters, with a trigger for each kind of write."""
    found: dict[str, set[str]] = {}
    for name, table in _triggers(file):
        found.setdefault(table.lower(), set()).add(name.rpartition("_")[2])
    return {table for table, events in found.items() if len(events) == len(EVENTS)}


def _freeze_table(file: SourceFile, capture: StoredCapture, reason: str, since: datetime) -> None:
    release(file, capture.name)  # what a rebuild of the table has left of an earlier one
    text = f"cdc froze {capture.name} at {since:%Y-%m-%d %H:%M:%S} UTC: {reason}"
    message = "'" + text.replace("'", "''") + "'"
    lines = load_sql("sqlite/freeze.sql").splitlines(keepends=True)
    template = "".join(line for line in lines if not line.startswith("--"))
    for event in EVENTS:
        name = f"_cdc_freeze_{capture.layout}_{event.lower()}"
        file.query(
            template.format(
                trigger=name, event=event, table=quote(capture.name), message=message
            ).strip()
        )
