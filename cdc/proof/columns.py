"""The digest of one column over a range of keys, made on each side for itself.

Columnar, after the trials in docs/proof.md: PostgreSQL joins the binary forms of a column's values
in key order and hashes them once; the other side packs the same column of its rows at once. Each
kind of value has one form of bytes, in which no two sequences of values look alike:

- numbers of 8 bytes, big-endian; a NULL is a fixed pattern that stands for nothing else;
- texts and blobs: first all lengths (-1 for NULL), then all bytes. Of a value longer than
  `LONGEST` its MD5 stands for it, so that no aggregate of PostgreSQL grows beyond bounds;
- what only Python can bring into one form (jsonb, literals): PostgreSQL sends the text.
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from hashlib import blake2b, md5
from typing import Any, Final

from psycopg import sql

from cdc.mapping.table import TargetColumn
from cdc.proof.canonical import Canonical, ColumnForms, plain_digits
from cdc.schema import Value

LONGEST: Final = 1024
"""Bytes; a longer text or blob is digested by its own digest."""

NULL_NUMBER: Final = b"\xc5\x1d\x9e\x07\x6b\xa2\x4f\x83"
"""Stands for NULL among numbers of 8 bytes: random, so that no data holds it but by intent, and
then the count of NULLs, which is digested as well, still differs."""

MEMORY: Final = 65_536
"""Numbers whose digits are remembered."""

NULL_UUID: Final = NULL_NUMBER * 2

_EPOCH_OF_POSTGRES: Final = 946_684_800_000_000
"""Microseconds from 1970 to 2000, from where PostgreSQL counts."""

_INTEGER_OF_NULL: Final = int.from_bytes(NULL_NUMBER, "big", signed=True)

Quick = Callable[[Sequence[Value], set[type]], bytes | None]
"""Packs values, given their classes, or leaves them to the slow way (None)."""


class Unlike(ValueError):
    """A value of SQLite has no form that its column in PostgreSQL could have."""


class ProvenColumn:
    """One column of a target table, as the proof sees it.

    `chosen` is the SQL of its value within the range (over the table), `digest` the SQL of its
    digest (over the column `x` of such values). Where `digest` is None, PostgreSQL sends the values
    as texts, and `pack_target` makes the bytes of them.
    """

    def __init__(self, column: TargetColumn) -> None:
        self.name = column.name
        self.source = column.source
        self.forms = ColumnForms(column)
        base, _, arguments = column.type.name.partition("(")
        self._kind = _KINDS.get(base, "text")
        self._quick = _quick_pack(base, self._kind, column, arguments)

    @property
    def sent(self) -> bool:
        """Whether PostgreSQL sends the values, for want of a form that it could digest."""
        return self._kind == "sent"

    @property
    def chosen(self) -> sql.Composable:
        """The SQL of the value to be digested, of the table's column."""
        return sql.SQL(_CHOSEN[self._kind]).format(sql.Identifier(self.name))

    def digest(self, x: sql.Identifier) -> sql.Composable:
        """The SQL aggregate of the digest over the column `x` of chosen values."""
        return sql.SQL(_DIGESTS[self._kind]).format(x=x)

    def of_source(self, values: Sequence[Value]) -> bytes:
        """The digest of the column's values of SQLite. Raises Unlike."""
        return md5(self._pack(values), usedforsecurity=False).digest()

    def of_target(self, result: Any) -> bytes:
        """The digest out of what PostgreSQL answered."""
        if not self.sent:
            return bytes(result)
        form = self.forms.of_target
        texts = (None if text is None else form(text) for text in result or ())
        return md5(_join_canonical(texts), usedforsecurity=False).digest()

    def _pack(self, values: Sequence[Value]) -> bytes:
        if self._quick is not None:
            packed = self._quick(values, set(map(type, values)))
            if packed is not None:
                return packed
        return _SLOW[self._kind](list(map(self.forms.of_source, values)))


# What PostgreSQL chooses, and how it digests it.

_CHOSEN: Final = {
    "integer": "int8send({}::pg_catalog.int8)",
    "real": "float8send({}::pg_catalog.float8)",
    "timestamp": "timestamp_send({})",
    "timestamptz": "timestamptz_send({})",
    "boolean": "boolsend({})",
    "uuid": "uuid_send({})",
    "decimal": "trim_scale({})::pg_catalog.text",
    "clock": "{}::pg_catalog.text",
    "text": "{}::pg_catalog.text",
    "blob": "{}",
    "sent": "{}::pg_catalog.text",
}

_NUMBERS: Final = f"decode(md5(string_agg(coalesce({{x}}, '\\x{NULL_NUMBER.hex()}'), '')), 'hex')"
_TEXTS: Final = (
    "decode(md5(string_agg(int4send(coalesce(octet_length({x}), -1)), '')"
    " || convert_to(coalesce(string_agg(CASE WHEN octet_length({x}) <= "
    f"{LONGEST} THEN {{x}} ELSE md5({{x}}) END, ''), ''), 'UTF8')), 'hex')"
)
_DIGESTS: Final = {
    "integer": _NUMBERS,
    "real": _NUMBERS,
    "timestamp": _NUMBERS,
    "timestamptz": _NUMBERS,
    "boolean": "decode(md5(string_agg(coalesce({x}, '\\x02'), '')), 'hex')",
    "uuid": f"decode(md5(string_agg(coalesce({{x}}, '\\x{NULL_UUID.hex()}'), '')), 'hex')",
    "decimal": _TEXTS,
    "clock": _TEXTS,
    "text": _TEXTS,
    "blob": (
        "decode(md5(string_agg(int4send(coalesce(octet_length({x}), -1)), '')"
        " || coalesce(string_agg(CASE WHEN octet_length({x}) <= "
        f"{LONGEST} THEN {{x}} ELSE decode(md5({{x}}), 'hex') END, ''), '')), 'hex')"
    ),
    "sent": "array_agg({x})",
}

_KINDS: Final = {
    "bigint": "integer",
    "integer": "integer",
    "smallint": "integer",
    "double precision": "real",
    "real": "real",
    "numeric": "decimal",
    "boolean": "boolean",
    "bytea": "blob",
    "date": "clock",
    "time": "clock",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "jsonb": "sent",
    "literal": "sent",
}
"""The kind of each target type; all others are text."""


# What this side packs: quickly where all values are of the kind's own class, else by their forms.


def _big_endian(numbers: "array[Any]") -> bytes:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


def _integers(values: Sequence[Any], kinds: set[type]) -> bytes | None:
    if kinds <= {int}:
        return _big_endian(array("q", values))
    if kinds <= {int, type(None)}:
        return _big_endian(array("q", [_INTEGER_OF_NULL if v is None else v for v in values]))
    return None


def _reals(values: Sequence[Any], kinds: set[type]) -> bytes | None:
    if kinds <= {float}:
        return _big_endian(array("d", values))
    if kinds <= {float, type(None)}:
        reals = array("d", [0.0 if v is None else v for v in values])
        packed = array("q", reals.tobytes())
        for at, value in enumerate(values):
            if value is None:
                packed[at] = _INTEGER_OF_NULL
        return _big_endian(packed)
    return None


def _texts(values: Sequence[Any], kinds: set[type]) -> bytes | None:
    if kinds <= {str}:
        return _join_texts(values)
    if kinds <= {str, type(None)}:
        return _join_optional(values)
    return None


def _join_texts(texts: Sequence[str]) -> bytes:
    joined = "".join(texts)
    if not joined.isascii():
        return _join_bytes([text.encode() for text in texts], _hex_digest)
    lengths = array("i", map(len, texts))
    if max(lengths, default=0) > LONGEST:
        return _join_bytes([text.encode() for text in texts], _hex_digest)
    return _big_endian(lengths) + joined.encode()


def _join_optional(texts: Sequence[str | None]) -> bytes:
    return _join_bytes([None if t is None else t.encode() for t in texts], _hex_digest)


def _join_bytes(values: Iterable[bytes | None], shorten: Callable[[bytes], bytes]) -> bytes:
    lengths, parts = array("i"), []
    for value in values:
        if value is None:
            lengths.append(-1)
            continue
        lengths.append(len(value))
        parts.append(value if len(value) <= LONGEST else shorten(value))
    return _big_endian(lengths) + b"".join(parts)


def _hex_digest(value: bytes) -> bytes:
    return md5(value, usedforsecurity=False).hexdigest().encode()


def _raw_digest(value: bytes) -> bytes:
    return md5(value, usedforsecurity=False).digest()


def _blobs(values: Sequence[Any], kinds: set[type]) -> bytes | None:
    if kinds <= {bytes, type(None)}:
        return _join_bytes(values, _raw_digest)
    return None


class _Decimals:
    """Numbers as decimals without needless zeros; `places` where the column rounds to them."""

    def __init__(self, places: int | None) -> None:
        self._places = places
        self._known: dict[Value, str | None] = {None: None}

    def __call__(self, values: Sequence[Value], kinds: set[type]) -> bytes | None:
        if not kinds <= {int, float, type(None)}:
            return None
        known = self._known
        if len(known) > MEMORY:
            known.clear()
            known[None] = None
        for value in values:
            if value not in known:
                text = self._digits(value)
                if text is None:
                    return None
                known[value] = text  # 1, 1.0 and their like are one number here
        return _join_optional([known[value] for value in values])

    def _digits(self, value: Value) -> str | None:
        text = repr(value).removesuffix(".0")
        whole, _, fraction = text.partition(".")
        if self._places is not None and len(fraction) > self._places:
            return None
        if not whole.removeprefix("-").isdigit() or (fraction and not fraction.isdigit()):
            return None  # an exponent, or no finite number
        return "0" if text == "-0" else text


def _quick_pack(base: str, kind: str, column: TargetColumn, arguments: str) -> Quick | None:
    """How to pack the column's values quickly, as long as nothing special is among them."""
    instead = column.type.options.instead
    if instead not in {"", "round"} or (base == "real" and instead):
        return None
    if kind == "decimal":
        places = arguments.removesuffix(")").partition(",")[2] or "0"
        return _Decimals(int(places) if instead and arguments else None)
    return {"integer": _integers, "real": _reals, "text": _texts, "blob": _blobs}.get(kind)


def _numbers_of(
    convert: Callable[[Canonical], bytes], null: bytes
) -> Callable[[Sequence[Canonical]], bytes]:
    def pack(values: Sequence[Canonical]) -> bytes:
        return b"".join(null if tag == "null" else convert((tag, v)) for tag, v in values)

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


def _slow_texts(values: Sequence[Canonical]) -> bytes:
    return _join_bytes(map(_text, values), _hex_digest)


def _slow_blobs(values: Sequence[Canonical]) -> bytes:
    return _join_bytes(map(_blob, values), _raw_digest)


def _join_canonical(values: Iterable[Canonical | None]) -> bytes:
    """Values that Python alone can compare: the digests of their canonical forms."""
    nothing = ("null", None)
    return b"".join(
        blake2b(repr(settled(value or nothing)).encode(), digest_size=16).digest()
        for value in values
    )


def settled(value: Any) -> Any:
    """Nested values in one order and every number in one form."""
    match value:
        case dict():
            return ("object", sorted((key, settled(each)) for key, each in value.items()))
        case list():
            return ("array", [settled(each) for each in value])
        case tuple():
            return tuple(map(settled, value))
        case Decimal():
            return plain_digits(value)
        case _:
            return value


_SLOW: Final[dict[str, Callable[[Sequence[Canonical]], bytes]]] = {
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
    "sent": _join_canonical,
}
