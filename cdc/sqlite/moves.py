"""Changes of a file's schema that are ours and mean nothing for the tables of the application.

A freeze adds triggers, and each moves SQLite's schema_version, by which a running daemon notices
what the application does to its schema. So the file counts the moves that are of no account.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cdc.sqlite.captures import has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import MOVES


def application_schema(file: SourceFile) -> int:
    """The file's schema_version without the moves that are of no account; within a transaction.

    It stays the same across a freeze and a thaw, and moves with everything else.
    """
    return file.schema_version - _moves(file)


@contextmanager
def of_no_account(file: SourceFile) -> Iterator[None]:
    """Count the moves of schema_version inside as ours; within a write transaction."""
    before = application_schema(file)
    yield
    if not has_table(file, MOVES):
        file.query(f"CREATE TABLE {MOVES} (moves INTEGER)")
        file.query(f"INSERT INTO {MOVES} VALUES (0)")
    file.query(f"UPDATE {MOVES} SET moves = ?", (file.schema_version - before,))


def _moves(file: SourceFile) -> int:
    return int(file.query(f"SELECT moves FROM {MOVES}").get) if has_table(file, MOVES) else 0
