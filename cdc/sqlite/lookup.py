"""Finding the rows of keys."""

from collections.abc import Iterable, Sequence
from typing import Final

from cdc.schema import Key, Row, UndecodableText
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.rows import Bound, read_rows

ONE: Final = Bound(seconds=1.0, rows=1)

TOGETHER: Final = 32
"""Rows that one statement finds at most."""


class Lookup:
    """Finds rows of one table of an open file by their keys."""

    def __init__(self, file: SourceFile, source: SourceTable) -> None:
        table = source.table
        self._file = file
        self._key_at = table.key
        self._by_number = table.key[0] if table.integer_key else None
        self._columns = [
            f"_cdc_t.{column.name if table.rowid_key and i == 0 else quote(column.name)}"
            for i, column in enumerate(table.columns)
        ]
        # As the key's index compares, so that it is used; and then byte for byte, below.
        self._conditions = [
            f"{self._columns[at]} COLLATE {table.columns[at].collation} IS" for at in table.key
        ]
        self._from = f"FROM {quote(table.name)} AS _cdc_t WHERE"
        self._plain = f"SELECT {', '.join(self._columns)} {self._rest('?' for _ in table.key)}"

    def row(self, key: Key) -> Row | None:
        """The row that has exactly this key, None without one; for use within a read transaction.

        Of several rows whose key is the same for being NULL, the first.
        """
        for row in self._rows(key):
            if tuple(row[at] for at in self._key_at) == key:
                return row
        return None

    def rows(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """The rows that have exactly one of these keys, by key; for use as `row`.

        Those that are numbers are looked up together, which takes a third of the time.
        """
        found: dict[Key, Row] = {}
        at = self._by_number
        if at is not None and all(type(key[0]) is int for key in keys):
            try:
                for start in range(0, len(keys), TOGETHER):
                    some = [number for (number,) in keys[start : start + TOGETHER]]
                    for row in self._file.query(self._several(len(some)), tuple(some)):
                        found[row[at],] = row
            except UnicodeDecodeError:
                pass  # one of them has a text that is not UTF-8
            else:
                return found
        for key in keys:
            row = self.row(key)
            if row is not None:
                found[key] = row
        return found

    def _several(self, count: int) -> str:
        assert self._by_number is not None
        marks = ",".join("?" * count)
        key = self._columns[self._by_number]
        return f"SELECT {', '.join(self._columns)} {self._from} {key} IN ({marks})"

    def _rows(self, key: Key) -> list[Row]:
        if not any(isinstance(value, UndecodableText) for value in key):
            try:
                return list(self._file.query(self._plain, key))
            except UnicodeDecodeError:
                pass  # another of its texts is not UTF-8: read more slowly, as its bytes
        marks = ("CAST(? AS TEXT)" if isinstance(value, UndecodableText) else "?" for value in key)
        return read_rows(self._file, self._columns, self._rest(marks), key, ONE).rows

    def _rest(self, marks: Iterable[str]) -> str:
        conditions = map(" ".join, zip(self._conditions, marks, strict=True))
        return f"{self._from} {' AND '.join(conditions)} LIMIT 1"
