"""Reading rows of a live file within the lock bound.

While a read transaction is open, a writer in rollback-journal mode cannot commit. So rows are
fetched in gulps that grow while they are quick, and the read ends when its time is up, wherever
it stands; the caller goes on from there in a transaction of its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from cdc.schema import UndecodableText, Value
from cdc.sqlite.connection import SourceFile

READ_BYTES: Final = 32 * 1024 * 1024
"""About how much text and blob one read may bring into memory before it ends."""

LARGEST_GULP: Final = 1024
GULP_VALUES: Final = 12_000
"""Rows, and values of them; more would leave the processor's cache before somebody has looked at
them."""

Take = Callable[[list[tuple[Any, ...]]], object]


@dataclass(frozen=True, slots=True)
class Bound:
    """When a read ends: after `seconds` of holding SQLite's lock, or with `rows` rows."""

    seconds: float
    rows: int


class Gulps:
    """How much to take at once of what may go on for `seconds`: more while that is quick."""

    def __init__(self, seconds: float, largest: int) -> None:
        self.size = 1
        self.left = seconds
        self._end = time.monotonic() + seconds
        self._largest = largest

    def taken(self) -> None:
        """Note that one was taken, which brings `left` up to date, and the next one's `size`."""
        before, self.left = self.left, self._end - time.monotonic()
        # The next one must fit into what is left, with room for rows that are slower to read.
        if (before - self.left) * 4 < self.left:
            self.size = min(self.size * 2, self._largest)
        else:
            self.size = max(self.size // 2, 1)


@dataclass(frozen=True, slots=True)
class Rows:
    """What one read brought: `rows` in order; `complete` when there were no more.

    `size` is about how many bytes of text and blob they hold, and `last` the last one of them.
    `rows` are those that were not handed over while reading; `count` counts all.
    """

    rows: list[tuple[Any, ...]]
    complete: bool
    size: int
    count: int
    last: tuple[Any, ...] | None


def read_rows(
    file: SourceFile,
    columns: Sequence[str],
    rest: str,
    bindings: tuple[Value, ...],
    bound: Bound,
    *,
    take: Take | None = None,
) -> Rows:
    """Run `SELECT columns rest` and fetch until it ends or the bound is met; at least one row.

    `columns` are SQL expressions, and `rest` orders the rows. For use within a read transaction.
    A TEXT that is not UTF-8 arrives as UndecodableText.

    With `take`, rows are handed to it as soon as there are many, which they are only where the
    bound is generous: what it does with them then is still in the processor's cache, and counts
    against the bound.
    """
    fetch = _Fetch(bound, take, min(LARGEST_GULP, max(GULP_VALUES // len(columns), 1)))
    try:
        fetch.run(file.query(f"SELECT {', '.join(columns)} {rest}", bindings))
    except UnicodeDecodeError:
        # APSW refuses such a text and ends the cursor: read on from there, each text as its bytes.
        careful = [
            f"CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" for c in columns
        ]
        kinds = [f"typeof({c})" for c in columns]
        cursor = file.query(f"SELECT {', '.join(careful + kinds)} {rest}", bindings)
        next(islice(cursor, fetch.count, fetch.count), None)
        fetch.run(cursor, _Decoder(len(columns), _python_encoding(file)))
    return Rows(fetch.rows, fetch.complete, fetch.size, fetch.count, fetch.last)


class _Fetch:
    """One read and how far it is; may go on with another cursor that stands where the first did."""

    def __init__(self, bound: Bound, take: Take | None, largest_gulp: int) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self._bound = bound
        self._take = take
        self._gulps = Gulps(bound.seconds, largest_gulp)
        self._largest_gulp = largest_gulp
        self.complete = False
        self.size = 0
        self.count = 0
        self.last: tuple[Any, ...] | None = None

    def run(self, cursor: Any, decode: Callable[[Any], tuple[Any, ...]] | None = None) -> None:
        bound = self._bound
        while True:
            wanted = min(self._gulps.size, bound.rows - self.count)
            fetched = list(islice(cursor, wanted))
            if decode is not None:
                fetched = list(map(decode, fetched))
            if fetched:
                self.count += len(fetched)
                self.last = fetched[-1]
                self.size += len(fetched) * _payload(fetched[-1])
                self.rows += fetched
                if self._take and len(self.rows) >= self._largest_gulp:
                    self._take(self.rows)
                    self.rows = []
            if len(fetched) < wanted:
                self.complete = True
                return
            self._gulps.taken()
            if self.count >= bound.rows or self.size >= READ_BYTES or self._gulps.left <= 0:
                cursor.close()
                return


class _Decoder:
    """Makes a row of values and their types, each text as its bytes, into a row of values."""

    def __init__(self, width: int, encoding: str) -> None:
        self._width = width
        self._encoding = [encoding] * width

    def __call__(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        width = self._width
        return tuple(map(_decode, row[:width], row[width:], self._encoding))


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
