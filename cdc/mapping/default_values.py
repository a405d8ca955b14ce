"""The DEFAULT of a column, translated where the same row would come of it."""

import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Final
from uuid import UUID

from cdc.mapping.expressions import expression
from cdc.mapping.terms import NotTranslatable, Term, string
from cdc.mapping.types import TargetType
from cdc.schema import Affinity, Value

_MOMENTS: Final[Mapping[str, str]] = {
    "CURRENT_TIMESTAMP": "YYYY-MM-DD HH24:MI:SS",
    "CURRENT_DATE": "YYYY-MM-DD",
    "CURRENT_TIME": "HH24:MI:SS",
}
_NOW: Final = re.compile(
    r"\(*\s*(datetime|date|time)\s*\(\s*(?:'now'|\"now\")?\s*\)\s*\)*", re.IGNORECASE
)
_NOW_IS: Final = {"datetime": "CURRENT_TIMESTAMP", "date": "CURRENT_DATE", "time": "CURRENT_TIME"}
_WORD: Final = re.compile(r"[^\W\d][\w$]*")
_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_NEARLY_A_NUMBER: Final = re.compile(r"\s*[+-]?\.?\d")


def default_value(text: str, affinity: Affinity, type_: TargetType) -> str | None:
    """The SQL of a column's default, None for NULL, which needs none.

    `text` is what SQLite keeps, `affinity` the column's. Raises NotTranslatable.
    """
    moment = _moment(text)
    if moment is not None:
        return _moment_value(moment, type_)
    if _WORD.fullmatch(text) and text.upper() not in ("NULL", "TRUE", "FALSE"):
        text = string(text)  # to SQLite, a bare word is a text
    term = expression(text, {})
    return None if term.kind == "null" else _constant(term, affinity, type_)


def _constant(term: Term, affinity: Affinity, type_: TargetType) -> str:
    """A constant as SQLite would store it in the column."""
    match type_.name, term.kind, term.constant:
        case "bigint" | "numeric", "integer", int(number):
            return str(number)
        case ("double precision", "integer" | "real", _) | ("bytea", "blob", bytes()):
            return term.sql
        case "text", "text", str() if affinity in ("TEXT", "BLOB"):
            return term.sql
    value = None if term.constant is None else _by_affinity(term.constant, affinity)
    if value is None or not type_.accepts(value) or type_.alters(value):
        raise NotTranslatable(f"it is {term.kind}, and the column becomes {type_.name}")
    return _literal(value, type_)


def _by_affinity(value: float | str | bytes, affinity: Affinity) -> Value:
    """What SQLite stores for a constant in a column of this affinity, None where that is not sure.

    >>> _by_affinity("7", "INTEGER"), _by_affinity(7, "TEXT"), _by_affinity(1, "REAL")
    (7, '7', 1.0)
    >>> _by_affinity("seven", "REAL"), _by_affinity(0.5, "TEXT"), _by_affinity(" 7", "NUMERIC")
    ('seven', None, None)
    """
    if affinity == "BLOB" or isinstance(value, bytes):
        return value
    if affinity == "TEXT":
        # The digits of a real would be SQLite's to choose.
        return None if isinstance(value, float) else str(value)
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None if _NEARLY_A_NUMBER.match(value) else value
        value = float(value) if "." in value else int(value)
    if affinity == "REAL":
        return float(value)
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def _literal(value: Value, type_: TargetType) -> str:
    """What the type holds for a value of SQLite, as PostgreSQL writes it."""
    held = type_.forward(value)
    match held:
        case bool():
            return "true" if held else "false"
        case int() | Decimal():
            return f"{held.normalize():f}" if isinstance(held, Decimal) else str(held)
        case str():
            plain = type_.wire == "text"
            return string(held) if plain else f"{string(held)}::{type_.sql}"
        case date() | time() | UUID():  # a datetime is a date
            return f"{string(str(held))}::{type_.sql}"
    raise NotTranslatable(f"a {type_.name} has no default of this kind")


def _moment(text: str) -> str | None:
    bare = text.strip().strip("()").strip().upper()
    if bare in _MOMENTS:
        return bare
    call = _NOW.fullmatch(text.strip())
    return _NOW_IS[call[1].lower()] if call else None


def _moment_value(moment: str, type_: TargetType) -> str:
    now = "statement_timestamp() AT TIME ZONE 'UTC'"
    match type_.name, moment:
        case "text", _:
            return f"to_char({now}, {string(_MOMENTS[moment])})"
        case "timestamp", "CURRENT_TIMESTAMP":
            return f"date_trunc('second', {now})"
        case "date", "CURRENT_DATE":
            return f"({now})::date"
        case "time", "CURRENT_TIME":
            return f"date_trunc('second', {now})::time"
    raise NotTranslatable(f"SQLite gives text in UTC, and the column becomes {type_.name}")
