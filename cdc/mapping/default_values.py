"""The DEFAULT of a column, translated where the same row would come of it."""

import re
from collections.abc import Mapping
from typing import Final

from cdc.mapping.expressions import NotTranslatable, Term, expression, string
from cdc.mapping.types import TargetType
from cdc.schema import Affinity

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
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}")


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
        case "text", "integer", int(number) if affinity == "TEXT":
            return string(str(number))
        case "bigint", "text", str(word) if affinity == "INTEGER" and _WHOLE.fullmatch(word):
            return str(int(word))
    return _fitting_constant(term, affinity, type_)


def _fitting_constant(term: Term, affinity: Affinity, type_: TargetType) -> str:
    """A constant for a type that does not take every value of its kind."""
    if term.constant is not None and type_.accepts(term.constant):
        match type_.name.partition("(")[0], term.kind, term.constant:
            case ("varchar", "text", _) if affinity == "TEXT":
                return term.sql
            case "numeric", "integer" | "real", _:
                return term.sql
            case "boolean", "integer", number:
                return "true" if number else "false"
    raise NotTranslatable(f"it is {term.kind}, and the column becomes {type_.name}")


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
    raise NotTranslatable(f"SQLite gives text in UTC, and the column becomes {type_.name}")
