"""Rows of SQLite made into the values of a target's columns, a column at a time.

Where a value is there again, as prices, dates and words mostly are, its form is looked up and not
computed.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from cdc.mapping.codec import Encoder
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import TargetType
from cdc.schema import Key, Row

MOST_KEPT: Final = 1 << 14
"""Values of one column that are remembered; then all are forgotten at once."""

LONGEST_KEPT: Final = 64
"""Characters of a text that is remembered."""

_LARGE: Final = 2**53


class Encoding:
    """Encodes rows of one table. Its memory may be used by two threads."""

    def __init__(self, table: MappedTable) -> None:
        self._project = _projection(table)
        self._encoded = _memories(table.columns)
        self._encoded_keys = _memories(table.key_columns)

    def rows(self, rows: Sequence[Row]) -> Sequence[tuple[Any, ...]]:
        """For each row of SQLite the values of the target's columns, in their order.

        Raises what the encoders raise: a ValueError for a value that does not fit.
        """
        if self._project is not None:
            rows = list(map(self._project, rows))
        return _encode(rows, self._encoded)

    def keys(self, keys: Sequence[Key]) -> Sequence[tuple[Any, ...]]:
        """The same for keys."""
        return _encode(keys, self._encoded_keys)


def _projection(table: MappedTable) -> Any:
    positions = table.positions
    if positions == tuple(range(len(table.source.columns))):
        return None
    if len(positions) == 1:  # itemgetter of one position gives no tuple
        return lambda row: (row[positions[0]],)
    return itemgetter(*positions)


def _memories(columns: Sequence[TargetColumn]) -> list[tuple[int, Any]]:
    """The positions of the columns whose values do not go as they are, each with its lookup."""
    return [
        (at, _lookup(column.type, column.type.encode))
        for at, column in enumerate(columns)
        if column.type.encode is not None
    ]


def _lookup(type_: TargetType, encode: Encoder) -> Callable[[Any], Any]:
    # To a dictionary 7 is 7.0, and which of both a column without an affinity may hold. In JSON
    # hardly anything is there twice.
    if type_.affinity == "BLOB" or type_.wire in {"json", "jsonb"}:
        return lambda value: None if value is None else encode(value)
    return (_RealMemory if type_.affinity == "REAL" else _Memory)(encode).__getitem__


class _Memory(dict[Any, Any]):
    """What each value became."""

    def __init__(self, encode: Encoder) -> None:
        super().__init__({None: None})
        self._encode = encode

    def __missing__(self, value: Any) -> Any:
        encoded = self._encode(value)
        if _is_itself(value):
            if len(self) > MOST_KEPT:
                self.clear()
                self[None] = None
            self[value] = encoded
        return encoded


class _RealMemory(_Memory):
    """The same for a column that holds reals and no integers, quicker."""

    def __missing__(self, value: Any) -> Any:
        encoded = self._encode(value)
        if value and type(value) is float:
            if len(self) > MOST_KEPT:
                self.clear()
                self[None] = None
            self[value] = encoded
        return encoded


def _is_itself(value: Any) -> bool:
    """Whether no other value that the column may hold is the same key of a dictionary.

    0.0 and -0.0 are, a blob and a text that is not UTF-8, and of very large numbers integers and
    reals. Long texts would take too much memory.
    """
    if isinstance(value, str):
        return len(value) <= LONGEST_KEPT
    return isinstance(value, int | float) and value != 0 and abs(value) < _LARGE


def _encode(rows: Sequence[Row], encoded: list[tuple[int, Any]]) -> Sequence[tuple[Any, ...]]:
    if not encoded or not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    for at, lookup in encoded:
        columns[at] = map(lookup, columns[at])
    return list(zip(*columns, strict=True))
