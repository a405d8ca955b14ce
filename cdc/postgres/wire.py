"""Values on their way to PostgreSQL: always binary, and never coerced.

Most types have an encoder of their own, which makes the binary form. Values of the others go as
they are, through psycopg's dumpers, chosen by the type of the column and not by that of the value.
COPY and parameters use the same, so both paths store the same. Nearly all dumpers refuse a value of
a foreign Python type.
Two do not: float8 takes an int, and bytea takes a subclass of bytes, such as UndecodableText.
`Strict` refuses those before they are written.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import itemgetter
from struct import Struct
from typing import Any, Final

import psycopg
from psycopg import abc
from psycopg._copy_base import format_row_binary
from psycopg.adapt import Buffer, Dumper, PyFormat, Transformer
from psycopg.pq import Format, PGconn
from psycopg.types.string import BytesBinaryDumper

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import TargetType
from cdc.postgres.encoding import Encoding
from cdc.schema import Column, Row

BLOCK_VALUES: Final = 12_000
"""Values checked and encoded at once: so many stay in the processor's cache meanwhile."""

MISFIT_ERRORS: Final = (TypeError, ValueError, ArithmeticError, AttributeError)
"""What an encoder or a dumper raises for a value that it cannot take."""

_EXACT: Final[dict[str, frozenset[type]]] = {
    "float8": frozenset((float, type(None))),
    "bytea": frozenset((bytes, type(None))),
}

_ARRAY_HEADER: Final = Struct(">iiIii")  # dimensions, has nulls, element oid, length, lower bound
_LENGTH: Final = Struct(">i")
_WIDTH: Final = Struct(">h")
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_COPY_END: Final = _WIDTH.pack(-1)
_NULL: Final = _LENGTH.pack(-1)
_ARRAY_TYPES: Final = psycopg.adapters.types

_UTF8: Final = psycopg.Connection[Any](PGconn())
"""Never connected. In its context a text is taken to be sent as UTF-8, which every session of ours
has for its encoding; without any context psycopg takes the long way, through Python's codecs."""

# For bytea psycopg would otherwise take the dumper of the DB-API's Binary, which is written in
# Python and takes ten times as long.
_UTF8.adapters.register_dumper(bytes, BytesBinaryDumper)


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


def _dumped_as(type_: TargetType) -> int:
    """The oid by which psycopg's dumper is chosen; bytea for what is in its binary form already."""
    as_is = type_.encode is None or type_.as_is is not None
    return _ARRAY_TYPES[type_.wire if as_is else "bytea"].oid


class ArrayPacker:
    """Packs the values of one column into an array; the server needs one plan for any number."""

    def __init__(self, type_: TargetType) -> None:
        info = _ARRAY_TYPES[type_.wire]
        self._oid = info.oid
        self._array_oid = info.array_oid
        dumper = _UTF8.adapters.get_dumper_by_oid(_dumped_as(type_), Format.BINARY)
        self._dump: Callable[[Any], Buffer | None] = dumper(object).dump

    def pack(self, values: Sequence[object]) -> PackedArray:
        """The array of `values`, None as NULL. Raises one of MISFIT_ERRORS or psycopg.DataError."""
        header = _ARRAY_HEADER.pack(1, 1, self._oid, len(values), 1)
        if None in values:
            found = [None if value is None else self._dump(value) for value in values]
        else:
            found = list(map(self._dump, values))
        return PackedArray(self._array_oid, header + _elements(found))


def _elements(found: Sequence[Buffer | None]) -> bytes:
    """The elements of an array, each behind its length."""
    sizes = {-1 if data is None else len(data) for data in found}
    if len(sizes) == 1 and -1 not in sizes:  # as of all numbers of one type
        size = _LENGTH.pack(sizes.pop())
        return size + size.join(found)  # type: ignore[arg-type]
    parts: list[Buffer] = []
    for data in found:
        if data is None:
            parts.append(_NULL)
        else:
            parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


class Packed:
    """Rows in the form of binary COPY, header and end included, in blocks; `count` of them."""

    __slots__ = ("blocks", "count")

    def __init__(self, blocks: Sequence[Buffer], count: int) -> None:
        self.blocks = blocks
        self.count = count

    def __len__(self) -> int:
        return self.count

    def rows(self) -> Iterator[tuple[bytes | None, ...]]:
        """The rows again, each value in its binary form."""
        data = b"".join(self.blocks)
        at = len(_COPY_HEADER)
        for _ in range(self.count):
            (width,) = _WIDTH.unpack_from(data, at)
            at += _WIDTH.size
            values: list[bytes | None] = []
            for _ in range(width):
                (length,) = _LENGTH.unpack_from(data, at)
                at += _LENGTH.size
                values.append(None if length < 0 else data[at : at + length])
                at += max(length, 0)
            yield tuple(values)


def load(wire: str, data: bytes | None) -> Any:
    """The value of a binary form, in Python's type for it."""
    if data is None:
        return None
    loader = psycopg.adapters.get_loader(_ARRAY_TYPES[wire].oid, Format.BINARY)
    assert loader is not None
    return loader(_ARRAY_TYPES[wire].oid).load(data)


class RowPacker:
    """Packs rows of one table. Needs no connection, so that it can be done ahead of the sending."""

    def __init__(self, table: MappedTable, encoding: Encoding, strict: "Strict") -> None:
        self._encoding = encoding
        self._strict = strict
        self._oids = [_dumped_as(column.type) for column in table.columns]

    def begin(self) -> "Packing":
        """Begin with the first of some rows that will be sent together."""
        transformer = Transformer(_UTF8)
        transformer.set_dumper_types(self._oids, Format.BINARY)
        return Packing(self._encoding, self._strict, transformer)


class Packing:
    """Rows on their way to being Packed."""

    def __init__(self, encoding: Encoding, strict: "Strict", transformer: abc.Transformer) -> None:
        self._encoding = encoding
        self._strict = strict
        self._transformer = transformer
        self._blocks: list[Buffer] = [_COPY_HEADER]
        self._count = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Pack these rows, too. Raises one of MISFIT_ERRORS or psycopg.DataError."""
        for block in self._strict.blocks(rows):
            packed = bytearray()
            # What Copy.write_row() uses, without the calls in Python that it makes for each row:
            # of a narrow table they take as long as all else.
            pack = map(
                format_row_binary,
                self._encoding.rows(block),
                repeat(self._transformer),
                repeat(packed),
            )
            deque(pack, maxlen=0)
            self._blocks.append(packed)
        self._count += len(rows)

    def end(self) -> Packed:
        """All rows, packed."""
        return Packed([*self._blocks, _COPY_END], self._count)


class Strict:
    """Lets rows of SQLite through that no dumper would coerce, and that have a key."""

    def __init__(self, table: MappedTable) -> None:
        self._block_rows = max(BLOCK_VALUES // len(table.source.columns), 1)
        self._checks = [
            (itemgetter(column.source), _EXACT[column.type.wire])
            for column in table.columns
            if column.type.encode is None
            and column.type.wire in _EXACT
            and not self._is_sure(table.source.columns[column.source], column)
        ]
        self._keys = [
            itemgetter(i)
            for i in table.key
            if not (table.source.integer_key or table.source.columns[i].not_null)
        ]

    @staticmethod
    def _is_sure(source: Column, target: TargetColumn) -> bool:
        # SQLite never hands an integer out of a column with REAL affinity, and a text is refused
        # by the dumper: looking at every value of every such column would be for nothing.
        return source.affinity == "REAL" and target.type.wire == "float8"

    def check(self, rows: Sequence[Row]) -> None:
        """Raise TypeError where a value would be stored as something else."""
        for of_column, exact in self._checks:
            if not exact.issuperset(map(type, map(of_column, rows))):
                raise TypeError("a value is of another storage class than its column")
        for of_key in self._keys:
            if None in map(of_key, rows):
                raise TypeError("a row without a key")

    def blocks(self, rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
        """The rows in checked blocks, so that the server works while the next one is checked."""
        remaining = iter(rows)
        while block := list(islice(remaining, self._block_rows)):
            self.check(block)
            yield block
