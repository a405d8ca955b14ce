"""Rows of SQLite as lines of JSON and back, exact for every storage class.

An integer, a finite real, a text and NULL are themselves: JSON's numbers are written with all their
digits, a real always with a point or an exponent. What JSON has no form for is an object with one
key: `b` a blob, `u` a text that is not UTF-8 (both in base64), `r` an infinite real.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import Any, Final

import orjson

from cdc.schema import UndecodableText, Value

Line = tuple[Any, ...]

_BLOB: Final = "b"
_UNDECODABLE: Final = "u"
_REAL: Final = "r"


def dump_rows(rows: Iterable[Line]) -> bytes:
    """The rows as lines, each with its line end.

    >>> dump_rows([(1, 1.0, -0.0, "1", b"1", float("-inf"), None)])
    b'[1,1.0,-0.0,"1",{"b":"MQ=="},{"r":"-inf"},null]\\n'
    """
    return b"".join([_dump(row) for row in rows])


def load_row(line: bytes) -> Line:
    """The row that a line was made from. Raises ValueError for anything else.

    >>> load_row(dump_rows([(2**63 - 1, 5e-324, b"", UndecodableText(b"\\xff"))]))
    (9223372036854775807, 5e-324, b'', b'\\xff')
    """
    row = orjson.loads(line)
    if not isinstance(row, list):
        raise ValueError("not a row")  # noqa: TRY004  (as what orjson raises for no JSON)
    if b"{" in line:
        row = [untagged(value) if isinstance(value, dict) else value for value in row]
    return tuple(row)


@dataclass(frozen=True, slots=True)
class Joined:
    """The lines of `count` rows in one text, which is quicker to hand on and to load."""

    text: bytes
    count: int


def join_lines(lines: Sequence[bytes]) -> Joined:
    """Join the lines of some rows, without their line ends."""
    return Joined(b"[%b]" % b",".join(lines), len(lines))


def load_joined(joined: Joined) -> list[Line]:
    """The rows that some lines were made from, as of `load_row`.

    >>> load_joined(join_lines([b'[1,"a"]', b'[2,{"b":"MQ=="}]']))
    [(1, 'a'), (2, b'1')]
    """
    rows = orjson.loads(joined.text)
    if len(rows) != joined.count or not {list}.issuperset(map(type, rows)):
        raise ValueError("not rows")
    if b"{" in joined.text:
        rows = [[untagged(v) if isinstance(v, dict) else v for v in row] for row in rows]
    return list(map(tuple, rows))


def _dump(row: Line) -> bytes:
    line = orjson.dumps(row, default=tagged, option=orjson.OPT_APPEND_NEWLINE)
    if b"null" in line and (inf in row or -inf in row):
        # orjson takes an infinite number for null.
        row = tuple(tagged(v) if isinstance(v, float) and isinf(v) else v for v in row)
        return orjson.dumps(row, default=tagged, option=orjson.OPT_APPEND_NEWLINE)
    return line


def tagged(value: object) -> dict[str, str]:
    """A value that JSON has no form for, as an object with one key."""
    match value:
        case UndecodableText():
            return {_UNDECODABLE: b64encode(value).decode()}
        case bytes():
            return {_BLOB: b64encode(value).decode()}
        case float():
            return {_REAL: repr(value)}
    raise TypeError(f"no value of SQLite: {type(value).__name__}")


def untagged(tagged: dict[str, str]) -> Value:
    """The value that an object with one key stands for. Raises ValueError."""
    [(tag, form)] = tagged.items()
    match tag:
        case "b":
            return b64decode(form, validate=True)
        case "u":
            return UndecodableText(b64decode(form, validate=True))
        case "r":
            return float(form)
    raise ValueError(f"no storage class {tag!r}")
