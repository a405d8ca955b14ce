"""Rows of SQLite made into the values of a target's columns, a column at a time."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import Encoder
from cdc.schema import Key, Row


class Encoding:
    """Encodes rows of one table."""

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
        (at, _lookup(column.type.encode))
        for at, column in enumerate(columns)
        if column.type.encode is not None
    ]


def _lookup(encode: Encoder) -> Any:
    return lambda value: None if value is None else encode(value)


def _encode(rows: Sequence[Row], encoded: list[tuple[int, Any]]) -> Sequence[tuple[Any, ...]]:
    if not encoded or not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    for at, lookup in encoded:
        columns[at] = map(lookup, columns[at])
    return list(zip(*columns, strict=True))
