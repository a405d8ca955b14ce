"""Naming the value that would not fit, once PostgreSQL or a dumper has refused a batch."""

from collections.abc import Iterable
from typing import Final

from cdc.errors import ValueDoesNotFit
from cdc.mapping.table import MappedTable, Unfit
from cdc.mapping.words import ZERO_BYTE
from cdc.postgres.wire import Packed, load
from cdc.schema import Key, Row, UndecodableText, Value

_SHOWN: Final = 60
"""Characters of a value that a message shows."""

_OR_ASIDE: Final = 'on_error = "quarantine" in [replication] sets such rows aside'

_NULL_HINT: Final = (
    f"give the row a key in SQLite; PostgreSQL has no row without one; or {_OR_ASIDE}"
)


class Misfit(ValueDoesNotFit):
    """A ValueDoesNotFit that says which: `key` is the row's in SQLite, `column` the target's, and
    `reason` says what is wrong, without the row.

    `deleted` is true where the row is gone from SQLite, and its key alone does not fit.
    """

    def __init__(
        self, table: MappedTable, key: Key, unfit: Unfit, *, deleted: bool = False
    ) -> None:
        column = table.column(unfit.position)
        self.table = table
        self.key = key
        self.column = column.name
        self.deleted = deleted
        self.reason = (
            f"{storage_class(unfit.value)} {shorten(unfit.value)} does not fit column {column.name}"
            f" ({column.type.sql}): {unfit.reason}"
        )
        super().__init__(
            f"{table.schema}.{table.name}, key {show_key(key)}: {self.reason}",
            hint=_NULL_HINT if unfit.value is None else _hint(table, unfit.position),
        )


def _hint(table: MappedTable, position: int) -> str:
    source = table.source
    column = source.columns[position].name
    return (
        f"for table {source.name!r}, column {column!r}, set another type in the configuration and"
        ' run again, which copies the table anew; type = "literal" takes any value,'
        f" and {_OR_ASIDE}"
    )


def find_zero_byte(table: MappedTable, rows: Packed) -> Misfit | None:
    """The first text with a zero byte in it: no dumper minds it, but the server does.

    To look at every text before it is sent would cost more than to look for the one afterwards.
    """
    types = [column.type for column in table.columns]
    texts = [i for i, t in enumerate(types) if t.wire == "text" and not (t.encode and not t.as_is)]
    for row in rows.rows():
        for i in texts:
            value = row[i]
            if value is not None and 0 in value:
                key = tuple(types[k].decode(load(types[k].wire, row[k])) for k in table.key_at)
                return Misfit(table, key, Unfit(table.columns[i].source, value.decode(), ZERO_BYTE))
    return None


def find_misfit(
    table: MappedTable, rows: Iterable[Row], deletes: Iterable[Key] = ()
) -> Misfit | None:
    """The first row, or key of a delete, that the table cannot hold."""
    for row in rows:
        if unfit := table.why(row):
            return Misfit(table, tuple(row[i] for i in table.key), unfit)
    for key in deletes:
        if unfit := table.why_key(key):
            return Misfit(table, key, unfit, deleted=True)
    return None


def storage_class(value: Value) -> str:
    """SQLite's word for what a value is.

    >>> [storage_class(v) for v in (None, 1, 1.0, "a", UndecodableText(b"a"), b"a")]
    ['NULL', 'INTEGER', 'REAL', 'TEXT', 'TEXT (not UTF-8)', 'BLOB']
    """
    match value:
        case None:
            return "NULL"
        case int():
            return "INTEGER"
        case float():
            return "REAL"
        case str():
            return "TEXT"
        case UndecodableText():
            return "TEXT (not UTF-8)"
        case bytes():
            return "BLOB"


def show_key(key: Key) -> str:
    """A key for people, its long values cut."""
    return ", ".join(map(shorten, key))


def shorten(value: Value) -> str:
    """A value for people, with its length where it is cut."""
    part = value[:_SHOWN] if isinstance(value, str | bytes) else value
    text = repr(bytes(part) if isinstance(part, bytes) else part)
    if isinstance(value, str | bytes) and len(value) > _SHOWN:
        return f"{text}… ({len(value)} in all)"
    return text
