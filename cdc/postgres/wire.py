"""Values on their way to PostgreSQL: always binary, and never coerced.

COPY and parameters use the same dumpers of psycopg, chosen by the type of the column and not by
that of the value, so both paths store the same. Nearly all refuse a value of a foreign Python type.
Two do not: float8 takes an int, and bytea takes a subclass of bytes, such as UndecodableText.
`Strict` refuses those before they are written.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from struct import Struct
from typing import Any, Final

import psycopg
from psycopg.adapt import Buffer, Dumper, PyFormat
from psycopg.pq import Format

from cdc.mapping.table import MappedTable
from cdc.mapping.types import Encoder
from cdc.schema import Row

BLOCK_ROWS: Final = 1000
"""Rows checked at once, just before they are written."""

MISFIT_ERRORS: Final = (TypeError, ValueError, ArithmeticError, AttributeError)
"""What an encoder or a dumper raises for a value that it cannot take."""

_EXACT: Final[dict[str, frozenset[type]]] = {
    "float8": frozenset((float, type(None))),
    "bytea": frozenset((bytes, type(None))),
}

_ARRAY_HEADER: Final = Struct(">iiIii")  # dimensions, has nulls, element oid, length, lower bound
_LENGTH: Final = Struct(">i")
_NULL: Final = _LENGTH.pack(-1)
_ARRAY_TYPES: Final = psycopg.adapters.types


class PackedArray:
    """An array in PostgreSQL's binary form, as a parameter of type `oid`."""

    __slots__ = ("data", "oid")

    def __init__(self, oid: int, data: bytes) -> None:
        self.oid = oid
        self.data = data


class PackedArrayDumper(Dumper):
    """Hands a PackedArray over as it is; registered with each connection."""

    format = Format.BINARY

    def get_key(self, obj: PackedArray, _format: PyFormat) -> tuple[type, int]:  # type: ignore[override]  # the key may be anything hashable
        return (PackedArray, obj.oid)

    def upgrade(self, obj: PackedArray, _format: PyFormat) -> Dumper:
        dumper = type(self)(PackedArray)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: PackedArray) -> Buffer:
        return obj.data


class ArrayPacker:
    """Packs the values of one column into an array; the server needs one plan for any number."""

    def __init__(self, wire: str) -> None:
        info = _ARRAY_TYPES[wire]
        self._oid = info.oid
        self._array_oid = info.array_oid
        dumper = psycopg.adapters.get_dumper_by_oid(info.oid, Format.BINARY)
        self._dump: Callable[[Any], Buffer | None] = dumper(object).dump

    def pack(self, values: Sequence[object]) -> PackedArray:
        """The array of `values`, None as NULL. Raises one of MISFIT_ERRORS or psycopg.DataError."""
        dump, length = self._dump, _LENGTH.pack
        parts: list[Buffer] = [_ARRAY_HEADER.pack(1, 1, self._oid, len(values), 1)]
        for value in values:
            data = None if value is None else dump(value)
            if data is None:
                parts.append(_NULL)
            else:
                parts.append(length(len(data)))
                parts.append(data)
        return PackedArray(self._array_oid, b"".join(parts))


class Strict:
    """Lets rows of one table through that no dumper would coerce."""

    def __init__(self, table: MappedTable) -> None:
        self._checks = [
            (itemgetter(i), _EXACT[column.type.wire])
            for i, column in enumerate(table.columns)
            if column.type.wire in _EXACT
        ]

    def check(self, rows: Sequence[Row]) -> None:
        """Raise TypeError where a value would be stored as something else."""
        for of_column, exact in self._checks:
            if not exact.issuperset(map(type, map(of_column, rows))):
                raise TypeError("a value is of another storage class than its column")

    def blocks(self, rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
        """The rows in checked blocks, so that the server works while the next one is checked."""
        remaining = iter(rows)
        while block := list(islice(remaining, BLOCK_ROWS)):
            self.check(block)
            yield block


def encode(rows: Sequence[Row], encoders: Sequence[tuple[int, Encoder]]) -> Sequence[Row]:
    """The rows with each encoder applied at its position."""
    if not encoders:
        return rows
    encoded = []
    for row in rows:
        values: list[Any] = list(row)
        for i, encoder in encoders:
            if values[i] is not None:
                values[i] = encoder(values[i])
        encoded.append(tuple(values))
    return encoded
