"""Reading rows of a live file within the lock bound.

While a read transaction is open, a writer in rollback-journal mode cannot commit. So rows are
fetched in gulps that grow while they are quick, and the read ends when its time is up, wherever
it stands; the caller goes on from there in a transaction of its own.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from cdc.schema import UndecodableText, Value
from cdc.sqlite.connection import SourceFile

READ_BYTES: Final = 32 * 1024 * 1024
"""About how much text and blob one read may bring into memory before it ends."""

LARGEST_GULP: Final = 2048


@dataclass(frozen=True, slots=True)
class Bound:
    """When a read ends: after `seconds` of holding SQLite's lock, or with `rows` rows."""

    seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What one read brought: `rows` in order; `complete` when there were no more.

    `size` is about how many bytes of text and blob they hold.
    """

    rows: list[tuple[Any, ...]]
    complete: bool
    size: int


def read_rows(
    file: SourceFile, columns: Sequence[str], rest: str, bindings: tuple[Value, ...], bound: Bound
) -> Rows:
    """Run `SELECT columns rest` and fetch until it ends or the bound is met; at least one row.

    `columns` are SQL expressions. For use within a read transaction. A TEXT that is not UTF-8
    arrives as UndecodableText.
    """
    try:
        cursor = file.query(f"SELECT {', '.join(columns)} {rest}", bindings)
        return _fetch(cursor, bound)
    except UnicodeDecodeError:
        # APSW refuses such a text and ends the cursor: read all again, each text as its bytes.
        careful = [
            f"CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" for c in columns
        ]
        kinds = [f"typeof({c})" for c in columns]
        encoding = _python_encoding(file)
        found = _fetch(file.query(f"SELECT {', '.join(careful + kinds)} {rest}", bindings), bound)
        width = len(columns)
        return Rows(
            [
                tuple(map(_decode, row[:width], row[width:], [encoding] * width))
                for row in found.rows
            ],
            found.complete,
            found.size,
        )


def _fetch(cursor: Any, bound: Bound) -> Rows:
    started = time.monotonic()
    rows: list[tuple[Any, ...]] = []
    size = 0
    gulp = 1
    while True:
        before = time.monotonic()
        fetched = list(islice(cursor, min(gulp, bound.rows - len(rows))))
        rows += fetched
        if len(fetched) < gulp and len(rows) < bound.rows:
            return Rows(rows, complete=True, size=size)
        size += len(fetched) * _payload(fetched[-1])
        now = time.monotonic()
        if len(rows) >= bound.rows or size >= READ_BYTES or now - started >= bound.seconds:
            cursor.close()
            return Rows(rows, complete=False, size=size)
        # The next gulp must fit into what is left, with room for rows that are slower to read.
        if (now - before) * 4 < bound.seconds - (now - started):
            gulp = min(gulp * 2, LARGEST_GULP)
        else:
            gulp = max(gulp // 2, 1)


def _payload(row: tuple[Any, ...]) -> int:
    return sum(len(value) for value in row if isinstance(value, (str, bytes)))


def _python_encoding(file: SourceFile) -> str:
    return (
        str(file.query("PRAGMA encoding").get)
        .replace("UTF-16le", "UTF-16-LE")
        .replace("UTF-16be", "UTF-16-BE")
    )


def _decode(value: Any, kind: str, encoding: str) -> Value:
    if kind != "text":
        return value  # type: ignore[no-any-return]
    try:
        return bytes(value).decode(encoding)
    except UnicodeDecodeError:
        return UndecodableText(value)
