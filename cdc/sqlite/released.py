"""Tables that the operator has taken out of the capture until `cdc install --table` is run.

The list is a table of its own, made anew with each change: that moves the file's schema_version,
by which a running daemon notices at once.
"""

from collections.abc import Iterable

from cdc.sqlite.captures import has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import RELEASED


def read(file: SourceFile) -> set[str]:
    """The names of the released tables; for use within a transaction."""
    if not has_table(file, RELEASED):
        return set()
    return {name for (name,) in file.query(f"SELECT name FROM {RELEASED}")}


def add(file: SourceFile, names: Iterable[str]) -> None:
    """Release more tables, within a write transaction."""
    _write(file, read(file) | set(names))


def discard(file: SourceFile, name: str) -> bool:
    """Take a table back, within a write transaction; whether it was released."""
    names = read(file)
    if name in names:
        _write(file, names - {name})
    return name in names


def _write(file: SourceFile, names: set[str]) -> None:
    file.query(f"DROP TABLE IF EXISTS {RELEASED}")
    if names:
        file.query(f"CREATE TABLE {RELEASED} (name TEXT PRIMARY KEY)")
        for name in sorted(names):
            file.query(f"INSERT INTO {RELEASED} VALUES (?)", (name,))
