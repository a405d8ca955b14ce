"""The way back, tried on a file that SQLite is the master of: nothing of it is there afterwards.

Rows are written by the very writer that brings them back later, in transactions that take rows from
PostgreSQL for their own length alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cdc.event import REVERSE_FLOW
from cdc.schema import Row
from cdc.sqlite import direction, introspect
from cdc.sqlite.captures import Captured, has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.direction import Direction
from cdc.sqlite.incoming import IncomingTable, Refused
from cdc.sqlite.lookup import Lookup
from cdc.sqlite.moves import of_no_account
from cdc.sqlite.names import CANARY, CHANGELOG
from cdc.sqlite.reverse import ReverseWriter
from cdc.sqlite.rowwriter import RowWriter

LAYOUT: Final = -1
"""Of the canary's events, which are gone before anybody sees them. No capture has it."""


NO_EPOCH: Final = -1


class _Undo(Exception):
    """Carries out of a transaction what it came to, so that it is rolled back."""

    def __init__(self, refused: list[Refused]) -> None:
        super().__init__()
        self.refused = refused


def canary(file: SourceFile) -> Captured:
    """The table of the canary, made where it is missing; as the writer knows tables."""

    def make() -> None:
        if not has_table(file, CANARY):
            with of_no_account(file):
                file.query(f"CREATE TABLE {CANARY} (id INTEGER PRIMARY KEY, sign TEXT)")

    with file.reading():
        missing = not has_table(file, CANARY)
    if missing:
        file.write(make)
    with file.reading():
        return Captured(introspect.source_table(file, CANARY), LAYOUT, "")


def land(file: SourceFile, table: Captured, batch: IncomingTable) -> list[Row | None]:
    """Write rows of the canary for good, and read them back in another transaction."""
    writer = ReverseWriter(file, [table])

    def work() -> None:
        with _taking_rows(file) as stand:
            writer.write_within(stand, [batch], final=True)
        # No change of the application's rows: the events would be in everybody's way.
        file.query(
            f"DELETE FROM {CHANGELOG} WHERE layout = ? AND origin = ?",
            (LAYOUT, REVERSE_FLOW),
        )

    file.write(work)
    lookup = Lookup(file, table.source)
    with file.reading():
        return [lookup.row(incoming.key) for incoming in batch.rows]


def forget(file: SourceFile) -> None:
    """Take the canary's rows away again."""
    file.write(lambda: file.query(f"DELETE FROM {CANARY}"))


def rehearse(file: SourceFile, table: Captured, batch: IncomingTable) -> list[Refused]:
    """Write rows that are there anew, as if they came from PostgreSQL; what SQLite did not take.

    All of it is rolled back. The file's lock is held meanwhile, as by any short write.
    """
    writer = ReverseWriter(file, [table])
    rows = RowWriter(file, table)

    def work() -> None:
        with _taking_rows(file) as stand:
            there = [each for each in batch.rows if rows.row(each.key) is not None]
            for each in there:
                rows.delete(each.key)
            whole = IncomingTable(batch.table, there, all_there_is=False)
            raise _Undo(writer.write_within(stand, [whole], final=True))

    try:
        file.write(work)
    except _Undo as end:
        return end.refused
    raise AssertionError("work() never returns")


@contextmanager
def _taking_rows(file: SourceFile) -> Iterator[Direction]:
    """Within a write transaction, and for a part of it: the file takes rows from PostgreSQL."""
    direction.arm(file, NO_EPOCH)
    stand = direction.read(file)
    assert stand is not None
    yield stand
    direction.disarm(file)
