"""The target types of a column, and the exact form in which each carries a SQLite value.

Each of them loses nothing: a value either has one faithful form or is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cdc.schema import UndecodableText, Value

Encoder = Callable[[Value], object]


@dataclass(frozen=True, slots=True)
class TargetType:
    """A PostgreSQL type as a home for SQLite values.

    `name` is the word for it in the configuration, `sql` what stands in the DDL, `wire` the type
    that binary COPY and parameters use. `accepts` says whether a value (never None) has a faithful
    form here. `encode` makes that form; None means that the value goes as it is.
    """

    name: str
    sql: str
    wire: str
    accepts: Callable[[Value], bool]
    encode: Encoder | None = None

    def refusal(self, value: Value) -> str | None:
        """Why the type does not take a value (never None); None where it does."""
        return None if self.accepts(value) else f"it has no exact form in {self.sql}"


def _is_integer(value: Value) -> bool:
    return type(value) is int


def _is_real(value: Value) -> bool:
    return type(value) is float


def _is_text(value: Value) -> bool:
    return type(value) is str and "\0" not in value


def _is_blob(value: Value) -> bool:
    return type(value) is bytes


def _is_number(value: Value) -> bool:
    # numeric does not tell 7 from 7.0, nor 0 from -0.0. Under the affinities that it is chosen for
    # SQLite turns such reals into integers, but for the largest ones.
    if type(value) is float:
        return not value.is_integer() or abs(value) >= 2.0**63
    return type(value) is int


def _to_decimal(value: Value) -> object:
    if not _is_number(value):
        raise ValueError("the value would not come back from numeric as it is")
    # repr() is the shortest decimal that reads back as the same double; PostgreSQL's own cast
    # from float8 to numeric keeps 15 digits only.
    return Decimal(repr(value)) if type(value) is float else value


def literal(value: Value) -> str | None:
    """The SQL literal of a value: distinct for distinct values and storage classes.

    >>> [literal(v) for v in (7, 7.0, "7", b"7", None)]
    ['7', '7.0', "'7'", "X'37'", None]
    >>> literal("it's")
    "'it''s'"
    """
    match value:
        case None:
            return None
        case int() | float():
            return repr(value)
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''") + "'"
        case str():
            return f"CAST(X'{value.encode().hex()}' AS TEXT)"
        case UndecodableText():
            return f"CAST(X'{value.hex()}' AS TEXT)"
        case bytes():
            return f"X'{value.hex()}'"


BIGINT: Final = TargetType("bigint", "bigint", "int8", _is_integer)
DOUBLE: Final = TargetType("double precision", "double precision", "float8", _is_real)
TEXT: Final = TargetType("text", "text", "text", _is_text)
BYTEA: Final = TargetType("bytea", "bytea", "bytea", _is_blob)
NUMERIC: Final = TargetType("numeric", "numeric", "numeric", _is_number, _to_decimal)
LITERAL: Final = TargetType("literal", "text", "text", lambda _: True, literal)
"""Any value of any storage class, as the text of its SQL literal."""

TYPES: Final = {t.name: t for t in (BIGINT, DOUBLE, TEXT, BYTEA, NUMERIC, LITERAL)}


def target_type(spec: str) -> TargetType:
    """The type of that name in the configuration. Raises ValueError, with a sentence."""
    if spec not in TYPES:
        raise ValueError(f"there is no target type {spec!r}; there are {', '.join(TYPES)}")
    return TYPES[spec]
