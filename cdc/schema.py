"""The shape of a captured table, in the words that both sides share.

SQLite's introspection makes these values, the changelog's layouts keep them, the mapping turns
them into target columns. They know neither database.
"""

from dataclasses import dataclass
from typing import Literal

Affinity = Literal["INTEGER", "REAL", "TEXT", "NUMERIC", "BLOB"]

Value = None | int | float | str | bytes
"""One SQLite value, in its storage class. A TEXT that is not UTF-8 is an `UndecodableText`."""

Row = tuple[Value, ...]
Key = tuple[Value, ...]


class UndecodableText(bytes):
    """The bytes of a TEXT value that are not valid UTF-8. As in SQLite, never equal to a BLOB.

    >>> UndecodableText(b"a") == UndecodableText(b"a"), UndecodableText(b"a") == b"a"
    (True, False)
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UndecodableText) and bytes.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((UndecodableText, bytes(self)))


@dataclass(frozen=True, slots=True)
class Column:
    """One column as SQLite declares it; `declared` is the type as written, "" for none.

    `collation` is the one by which the key compares it, where it belongs to the key. That may be
    another than its own, by which every other comparison goes.
    """

    name: str
    declared: str
    affinity: Affinity
    collation: str = "BINARY"
    own_collation: str = "BINARY"
    not_null: bool = False
    generated: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One captured table: its columns in the order of an event's values, and its key.

    `key` holds positions in `columns`. A table without a declared key is identified by its rowid,
    which then is its first column (`rowid_key`), under a name that no other column has.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[int, ...]
    rowid_key: bool = False
    integer_key: bool = False
    without_rowid: bool = False

    @property
    def may_lack_key(self) -> bool:
        """Whether rows may have NULL for a key, or in it, as SQLite allows."""
        sure = self.integer_key or self.rowid_key or self.without_rowid
        return not sure and any(not column.not_null for column in self.key_columns)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.columns[i] for i in self.key)
