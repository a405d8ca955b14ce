"""Types whose values are texts or bytes in SQLite, and booleans."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn
from uuid import UUID

import orjson

from cdc.mapping.codec import Codec, Options, Unfitting, only, require_same
from cdc.schema import Affinity, UndecodableText, Value

_CANONICAL_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ZERO_BYTE: Final = "PostgreSQL has no text with a zero byte"
TRUNCATE: Final = "truncate"


def _identity(value: Any) -> Any:
    return value


def _of_text(value: Value) -> str:
    if isinstance(value, UndecodableText):
        raise Unfitting("it is a text that is not UTF-8")
    if type(value) is not str:
        raise Unfitting("it is no text")
    if "\0" in value:
        raise Unfitting(ZERO_BYTE)
    return value


def text() -> Codec:
    """text: every text without a zero byte."""
    return Codec("text", "text", _of_text, str.encode, _identity, native=True)


def varchar(length: int) -> Codec:
    """varchar(length): texts of at most so many characters."""

    def forward(value: Value) -> str:
        found = _of_text(value)
        if len(found) > length:
            raise Unfitting(f"it has {len(found)} characters, and the column takes {length}")
        return found

    def quick(value: Value) -> bytes | None:
        if type(value) is str and len(value) <= length and "\0" not in value:
            return value.encode()
        return None

    def as_is(values: Sequence[Any]) -> bool:
        # What is no text, the dumper refuses, and a zero byte the server.
        return max(map(len, values)) <= length

    return Codec(
        f"varchar({length})",
        "text",
        forward,
        str.encode,
        _identity,
        quick=quick,
        as_is=as_is,
        instead={TRUNCATE: lambda value: _of_text(value)[:length]},
    )


def bytea() -> Codec:
    """bytea: every blob."""
    return Codec("bytea", "bytea", only(bytes, "blob"), _identity, _identity, native=True)


def literal_text(literal: Callable[[Value], str | None], parse: Callable[[str], Value]) -> Codec:
    """Any value of any storage class, as the text of its SQL literal."""

    def pack(value: str) -> bytes:
        return value.encode()

    return Codec("text", "text", literal, pack, parse, ordered=False)


def uuid(affinity: Affinity) -> Codec:
    """uuid: texts in its canonical form; under no affinity blobs of 16 bytes."""
    as_blob = affinity == "BLOB"

    def forward(value: Value) -> UUID:
        if as_blob:
            if type(value) is not bytes or len(value) != 16:
                raise Unfitting("it is no blob of 16 bytes")
            return UUID(bytes=value)
        if type(value) is not str or not _CANONICAL_UUID.fullmatch(value):
            raise Unfitting("it is no UUID in lower case, with its four hyphens")
        return UUID(value)

    return Codec(
        "uuid",
        "uuid",
        forward,
        lambda value: bytes(value.bytes),
        lambda value: bytes(value.bytes) if as_blob else str(value),
    )


def boolean(affinity: Affinity, options: Options) -> Codec:
    """boolean: 1 and 0, and the words of the options; the first word of each is written back."""
    truths: dict[tuple[type, Value], bool] = {}
    forms: dict[bool, Value] = {}
    for truth, words in ((True, options.true), (False, options.false)):
        number = float(truth) if affinity == "REAL" else int(truth)
        plain: Value = str(int(truth)) if affinity == "TEXT" else number
        forms[truth] = words[0] if words else plain
        for form in (plain, *words):
            truths[type(form), form] = truth

    def forward(value: Value) -> bool:
        found = truths.get((type(value), value))
        if found is None:
            allowed = ", ".join(repr(form) for _, form in truths)
            raise Unfitting(f"it is none of {allowed}")
        if value == 0:
            require_same(value, 0.0 if isinstance(value, float) else 0)
        return found

    return Codec(
        "boolean",
        "bool",
        forward,
        lambda value: b"\1" if value else b"\0",
        lambda value: forms[bool(value)],
        options=frozenset(("true", "false")),
        ordered=affinity != "TEXT" and not options.true and not options.false,
    )


def json_text() -> Codec:
    """json: the text of a JSON value, which PostgreSQL keeps as it is."""
    return Codec("json", "json", _of_json, str.encode, _identity, key=False)


def jsonb() -> Codec:
    """jsonb: the JSON value itself; white space and the order of an object's keys are not kept."""

    def forward(value: Value) -> str:
        found = _of_json(value)
        try:
            json.loads(found, object_pairs_hook=_once_each, parse_int=str, parse_float=_of_fraction)
        except RecursionError:
            raise Unfitting("it is nested too deeply") from None
        return found

    return Codec(
        "jsonb", "jsonb", forward, lambda value: b"\1" + value.encode(), _identity, key=False
    )


def _of_json(value: Value) -> str:
    found = _of_text(value)
    try:
        orjson.loads(found)
    except orjson.JSONDecodeError:
        _check_json(found)
    return found


def _check_json(found: str) -> None:
    """For what orjson refuses and PostgreSQL does not, such as half of a surrogate pair."""
    try:
        json.loads(found, parse_int=str, parse_float=str, parse_constant=_no_number)
    except RecursionError:
        raise Unfitting("it is nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise Unfitting(f"it is no JSON: {exc}") from None


def _no_number(word: str) -> NoReturn:
    raise Unfitting(f"it is no JSON: it holds {word}")


def _of_fraction(digits: str) -> str:
    # jsonb keeps a number as numeric, whose exponents are bounded.
    _, _, exponent = digits.lower().partition("e")
    if exponent and abs(int(exponent)) > 10_000:
        raise Unfitting("it holds a number beyond the range of numeric")
    return digits


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfitting("an object in it has one key twice, and jsonb keeps one of them")
    for name in found:
        _check_characters(name)
    for value in found.values():
        if isinstance(value, str):
            _check_characters(value)
    return found


def _check_characters(found: str) -> None:
    if "\0" in found or any("\ud800" <= c <= "\udfff" for c in found):
        raise Unfitting("it holds a character that jsonb has not")
