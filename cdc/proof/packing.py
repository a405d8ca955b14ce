"""The bytes of a column's values of SQLite, by which a range of it is digested.

Each kind of value has one form of bytes, in which no two sequences of values look alike:

- numbers of 8 bytes, big-endian; a NULL is a fixed pattern that stands for nothing else;
- texts and blobs: first all lengths (-1 for NULL), then all bytes. Of a value longer than
  `LONGEST` its MD5 stands for it, so that no aggregate of PostgreSQL grows beyond bounds;
- what only Python can bring into one form (jsonb, literals): the digests of that form.

Values are packed as they come out of SQLite, a thousand rows at a time, while the processor's cache
still holds them. Where all are of the kind's own class, that is one call for a column.
"""

import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from hashlib import blake2b, md5
from typing import Any, Final, Literal

from cdc.mapping.types import TargetType
from cdc.proof.canonical import NULL, Canonical, plain_digits
from cdc.schema import Value

LONGEST: Final = 1024
"""Bytes; a longer text or blob is digested by its own digest."""

NULL_NUMBER: Final = b"\xc5\x1d\x9e\x07\x6b\xa2\x4f\x83"
"""Stands for NULL among numbers of 8 bytes: random, so that no data holds it but by intent."""

NULL_UUID: Final = NULL_NUMBER * 2

ROWS_AT_ONCE: Final = 1_024
"""Rows that are formed, or packed, together: more would leave the processor's cache."""

_SETTLED: Final = frozenset((type(None), bool, int, bytes, str))
"""The types of values that have one form only."""

MEMORY: Final = 65_536
"""Numbers whose digits are remembered."""

_EPOCH_OF_POSTGRES: Final = 946_684_800_000_000
"""Microseconds from 1970 to 2000, from where PostgreSQL counts."""

(_INTEGER_OF_NULL,) = struct.unpack(">q", NULL_NUMBER)
(_REAL_OF_NULL,) = struct.unpack(">d", NULL_NUMBER)

Packed = tuple[bytes, bytes]
"""The lengths of some values, where their kind has any, and the values."""

Quick = Callable[[Sequence[Any]], Packed | None]
"""Packs values, or leaves them to the slow way (None)."""


class Unlike(ValueError):
    """A value of SQLite has no form that its column in PostgreSQL could have."""


class Packing:
    """Gathers the values of one column over a range. `form` gives what they are compared by."""

    def __init__(self, kind: str, quick: Quick | None, form: Callable[[Value], Canonical]) -> None:
        self._quick = quick
        self._slow = _SLOW[kind]
        self._form = form
        self._lengths: list[bytes] = []
        self._values: list[bytes] = []

    def add(self, values: Sequence[Value]) -> None:
        """The values of the next rows. Raises Unlike."""
        packed = None if self._quick is None else self._quick(values)
        lengths, data = packed or self._slow(list(map(self._form, values)))
        self._lengths.append(lengths)
        self._values.append(data)

    def digest(self) -> bytes:
        """The digest of all values so far."""
        found = md5(b"".join(self._lengths), usedforsecurity=False)
        for data in self._values:
            found.update(data)
        return found.digest()


def digest_sent(values: Iterable[Canonical | None]) -> bytes:
    """The digest of values that PostgreSQL has sent."""
    return md5(_join_canonical(values), usedforsecurity=False).digest()


def quick_way(base: str, kind: str, column: TargetType) -> Quick | None:
    """How to pack the values of a column quickly, as long as nothing special is among them."""
    instead = column.options.instead
    if instead not in {"", "round"} or (base == "real" and instead):
        return None
    if kind == "decimal":
        _, _, places = column.name.removesuffix(")").partition(",")
        return _Decimals(int(places or "0") if instead and "(" in column.name else None)
    if kind == "integer":
        return _Numbers("q")
    if kind == "real":
        return _Numbers("d") if column.affinity == "REAL" else _OnlyReals()
    if kind == "text":
        return _Texts()
    return _blobs if kind == "blob" else None


def _big_endian(numbers: "array[Any]") -> bytes:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


class _Numbers:
    """Numbers of 8 bytes. Reals are only for columns that turn integers into reals."""

    def __init__(self, code: Literal["q", "d"]) -> None:
        self._code: Literal["q", "d"] = code
        self._null = _INTEGER_OF_NULL if code == "q" else _REAL_OF_NULL
        self._nulls = False

    def __call__(self, values: Sequence[Any]) -> Packed | None:
        if not self._nulls:
            try:
                return b"", _big_endian(array(self._code, values))
            except TypeError:
                self._nulls = True  # at best; where there was one, others are likely to follow
        null = self._null
        try:
            numbers = array(self._code, [null if value is None else value for value in values])
        except TypeError:
            return None
        return b"", _big_endian(numbers)


class _OnlyReals(_Numbers):
    """Reals of a column that may hold integers, too."""

    def __init__(self) -> None:
        super().__init__("d")

    def __call__(self, values: Sequence[Any]) -> Packed | None:
        return super().__call__(values) if set(map(type, values)) <= {float, type(None)} else None


class _Texts:
    """Texts: while all characters are ASCII, their lengths are those of their bytes."""

    def __init__(self) -> None:
        self._nulls = False

    def __call__(self, values: Sequence[Any]) -> Packed | None:
        if not self._nulls:
            try:
                joined = "".join(values)
            except TypeError:
                self._nulls = True
            else:
                return _joined_texts(joined, values)
        return _optional_texts(values) if set(map(type, values)) <= {str, type(None)} else None


def _joined_texts(joined: str, values: Sequence[str]) -> Packed:
    if joined.isascii():
        lengths = list(map(len, values))
        if max(lengths, default=0) <= LONGEST:
            return _big_endian(array("i", lengths)), joined.encode()
    return _join_bytes([value.encode() for value in values], _hex_digest)


def _optional_texts(values: Sequence[str | None]) -> Packed:
    joined = "".join(filter(None, values))
    if joined.isascii():
        lengths = [-1 if value is None else len(value) for value in values]
        if max(lengths, default=0) <= LONGEST:
            return _big_endian(array("i", lengths)), joined.encode()
    return _join_bytes([None if v is None else v.encode() for v in values], _hex_digest)


def _blobs(values: Sequence[Any]) -> Packed | None:
    if set(map(type, values)) <= {bytes, type(None)}:
        return _join_bytes(values, _raw_digest)
    return None


def _join_bytes(values: Iterable[bytes | None], shorten: Callable[[bytes], bytes]) -> Packed:
    lengths, parts = array("i"), []
    for value in values:
        if value is None:
            lengths.append(-1)
            continue
        lengths.append(len(value))
        parts.append(value if len(value) <= LONGEST else shorten(value))
    return _big_endian(lengths), b"".join(parts)


def _hex_digest(value: bytes) -> bytes:
    return md5(value, usedforsecurity=False).hexdigest().encode()


def _raw_digest(value: bytes) -> bytes:
    return md5(value, usedforsecurity=False).digest()


class _Decimals:
    """Numbers as decimals without needless zeros; `places` where the column rounds to them."""

    def __init__(self, places: int | None) -> None:
        self._places = places
        self._known: dict[Value, str | None] = {None: None}

    def __call__(self, values: Sequence[Any]) -> Packed | None:
        known = self._known
        if len(known) > MEMORY:
            known.clear()
            known[None] = None
        for value in set(values).difference(known):
            text = self._digits(value)
            if text is None:
                return None
            known[value] = text  # 1, 1.0 and their like are one number here
        return _optional_texts([known[value] for value in values])

    def _digits(self, value: Value) -> str | None:
        if type(value) not in {int, float}:
            return None
        text = repr(value).removesuffix(".0")
        whole, _, fraction = text.partition(".")
        if self._places is not None and len(fraction) > self._places:
            return None
        if not whole.removeprefix("-").isdigit() or (fraction and not fraction.isdigit()):
            return None  # an exponent, or no finite number
        return "0" if text == "-0" else text


def _numbers_of(
    convert: Callable[[Canonical], bytes], null: bytes
) -> Callable[[Sequence[Canonical]], Packed]:
    def pack(values: Sequence[Canonical]) -> Packed:
        return b"", b"".join(null if tag == "null" else convert((tag, v)) for tag, v in values)

    return pack


def _integer(value: Canonical) -> bytes:
    tag, number = value
    if tag not in {"integer", "number"} or int(number) != number:
        raise Unlike(tag)
    try:
        return int(number).to_bytes(8, "big", signed=True)
    except OverflowError:
        raise Unlike(tag) from None


def _bits(value: Canonical) -> bytes:
    tag, bits = value
    if tag != "real":
        raise Unlike(tag)
    return bytes(bits)


def _instant(value: Canonical) -> bytes:
    tag, moment = value
    if tag != "instant" or int(moment) != moment:
        raise Unlike(tag)
    try:
        return (int(moment) - _EPOCH_OF_POSTGRES).to_bytes(8, "big", signed=True)
    except OverflowError:
        raise Unlike(tag) from None


def _flag(value: Canonical) -> bytes:
    tag, flag = value
    if tag != "boolean":
        raise Unlike(tag)
    return b"\x01" if flag else b"\x00"


def _uuid(value: Canonical) -> bytes:
    tag, digits = value
    if tag != "uuid":
        raise Unlike(tag)
    return bytes.fromhex(digits)


def _text(value: Canonical) -> bytes | None:
    match value:
        case ("null", _):
            return None
        case ("text", bytes() as raw):
            return raw
        case ("number", Decimal() as number):
            return plain_digits(number).encode()
        case ("clock", str() as text):
            return text.encode()
        case (tag, _):
            raise Unlike(tag)


def _blob(value: Canonical) -> bytes | None:
    match value:
        case ("null", _):
            return None
        case ("blob", bytes() as raw):
            return raw
        case (tag, _):
            raise Unlike(tag)


def _slow_texts(values: Sequence[Canonical]) -> Packed:
    return _join_bytes(map(_text, values), _hex_digest)


def _slow_blobs(values: Sequence[Canonical]) -> Packed:
    return _join_bytes(map(_blob, values), _raw_digest)


def _slow_sent(values: Sequence[Canonical]) -> Packed:
    return b"", _join_canonical(values)


def _join_canonical(values: Iterable[Canonical | None]) -> bytes:
    """Values that Python alone can compare: the digests of their canonical forms."""
    return b"".join(
        blake2b(repr(value).encode(), digest_size=16).digest()
        for value in settled([value or NULL for value in values])
    )


def settled(values: Sequence[Canonical]) -> Sequence[Canonical]:
    """The values of a column with what is nested in one order and every number in one form, which
    most of them have already.

    >>> [text] = {
    ...     repr(each)
    ...     for each in settled([("json", {"b": 1, "a": [2]}), ("json", {"a": [2], "b": 1})])
    ... }
    >>> settled([("number", Decimal("1.50")), ("number", Decimal("1E+3"))])
    [('number', '1.5'), ('number', '1000')]
    >>> settled([("json", Decimal("2.0")), ("null", None)])
    [('json', '2'), ('null', None)]
    """
    kinds = {type(value) for _, value in values}
    if _SETTLED.issuperset(kinds):
        return values
    if kinds == {Decimal}:
        return [(tag, plain_digits(value)) for tag, value in values]
    return list(map(_settle, values))


def _settle(value: Any) -> Any:
    match value:
        case dict():
            return ("object", sorted((key, _settle(each)) for key, each in value.items()))
        case list():
            return ("array", [_settle(each) for each in value])
        case tuple():
            return tuple(map(_settle, value))
        case Decimal():
            return plain_digits(value)
        case _:
            return value


_SLOW: Final[dict[str, Callable[[Sequence[Canonical]], Packed]]] = {
    "integer": _numbers_of(_integer, NULL_NUMBER),
    "real": _numbers_of(_bits, NULL_NUMBER),
    "timestamp": _numbers_of(_instant, NULL_NUMBER),
    "timestamptz": _numbers_of(_instant, NULL_NUMBER),
    "boolean": _numbers_of(_flag, b"\x02"),
    "uuid": _numbers_of(_uuid, NULL_UUID),
    "decimal": _slow_texts,
    "clock": _slow_texts,
    "text": _slow_texts,
    "blob": _slow_blobs,
    "sent": _slow_sent,
}
