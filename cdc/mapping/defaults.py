"""Which target type a column gets when the configuration does not say.

The declared type speaks first, but SQLite does not hold anybody to it; so the values that are
really there decide: a column gets the first type of its list that carries every one of them, and
gives it back bit for bit.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cdc.mapping.codec import Options
from cdc.mapping.types import TargetType, target_type
from cdc.schema import Affinity, Column, Value

_BY_AFFINITY: Final[dict[Affinity, tuple[str, ...]]] = {
    "INTEGER": ("bigint", "numeric", "literal"),
    "REAL": ("double precision", "literal"),
    "TEXT": ("text", "literal"),
    "BLOB": ("bytea", "text", "literal"),
    "NUMERIC": ("numeric", "text", "literal"),
}
_UNTYPED: Final = ("bigint", "double precision", "text", "bytea", "literal")
_MOMENT: Final = ("text", "bigint", "numeric", "literal")
_BOOLEAN: Final = ("bigint", "text", "literal")
_WORDS_OR_NUMBERS: Final = ("text", "numeric", "literal")
"""Of a type that SQLite takes for a number for want of a better guess: JSON, UUID, STRING."""

_PRECISION: Final = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_OF_NUMBERS: Final = re.compile("NUM|DEC|FIXED|MONEY|CURRENCY|YEAR|BIT")
_WORDS: Final = (("DATETIME", "timestamp"), ("TIMESTAMP", "timestamp"), ("DATE", "date"))


def candidates(column: Column) -> Sequence[TargetType]:
    """The types to try, the natural one first. The last, `literal`, carries any value.

    They take what comes back bit for bit, and nothing else.

    >>> [t.name for t in candidates(Column("price", "DECIMAL(10,2)", "NUMERIC"))]
    ['numeric(10,2)', 'numeric', 'text', 'literal']
    """
    return [
        target_type(spec, column.affinity, options, in_key=True)
        for spec in _specs(column)
        for options in _forms(spec)
    ]


def _specs(column: Column) -> tuple[str, ...]:
    """The names of the types to try.

    >>> _specs(Column("paid", "BOOLEAN", "NUMERIC"))
    ('boolean', 'bigint', 'text', 'literal')
    >>> _specs(Column("at", "TIMESTAMP", "NUMERIC"))
    ('timestamp', 'text', 'bigint', 'numeric', 'literal')
    >>> _specs(Column("body", "JSON", "NUMERIC"))
    ('text', 'numeric', 'literal')
    """
    declared = column.declared.upper()
    if _is_untyped(column):
        return _UNTYPED
    if column.affinity != "NUMERIC":
        return _BY_AFFINITY[column.affinity]
    if "BOOL" in declared:
        return ("boolean", *_BOOLEAN)
    if "DATE" in declared or "TIME" in declared:
        first = next((kind for word, kind in _WORDS if word in declared), "time")
        return (first, *_MOMENT)
    if _OF_NUMBERS.search(declared) is None:
        return _WORDS_OR_NUMBERS
    return (*_declared_numeric(declared), *_BY_AFFINITY["NUMERIC"])


def _declared_numeric(declared: str) -> tuple[str, ...]:
    match = _PRECISION.fullmatch(declared)
    if match is None:
        return ()
    spec = f"numeric({match[1]},{match[2] or 0})"
    try:
        target_type(spec)
    except ValueError:  # SQLite takes any numbers there, NUMERIC(2,5) as well
        return ()
    return (spec,)


def _is_untyped(column: Column) -> bool:
    return column.affinity == "BLOB" and "BLOB" not in column.declared.upper()


def natural_type(column: Column, *, in_key: bool = False) -> TargetType:
    """The type for a column of which no value is known."""
    # A column without a type, or with one that SQLite does not know, may hold anything next: only a
    # literal is sure to carry it. A declared moment may be any text or number, and a declared
    # boolean any number.
    specs = _specs(column)
    cautious = {
        _UNTYPED: "literal",
        _WORDS_OR_NUMBERS: "literal",
        _MOMENT: "text",
        _BOOLEAN: "bigint",
    }
    spec = next((cautious[rest] for rest in (specs, specs[1:]) if rest in cautious), None)
    if spec is None and specs[0].startswith("numeric("):
        spec = "numeric"
    return target_type(spec or specs[0], column.affinity, in_key=in_key)


def is_narrowing(column: Column) -> bool:
    """Whether the first type to try takes less than the column may well hold, so that the values
    have to say whether it goes.

    >>> is_narrowing(Column("paid", "BOOLEAN", "NUMERIC")), is_narrowing(Column("n", "", "BLOB"))
    (True, True)
    >>> is_narrowing(Column("n", "INTEGER", "INTEGER"))
    False
    """
    return candidates(column)[0].name != natural_type(column).name


class Choice:
    """The target type for a column, found out from its values as they come."""

    def __init__(self, column: Column, *, in_key: bool = False) -> None:
        self._column = column
        self._in_key = in_key
        self._left = list(candidates(column))
        self._empty = True

    def add(self, values: Iterable[Value]) -> None:
        """Take more values into account; NULL says nothing."""
        present = [value for value in values if value is not None]
        if present:
            self._empty = False
            self._left = [type_ for type_ in self._left if type_.accepts_all(present)]

    @property
    def settled(self) -> bool:
        """Whether no further value can change the type."""
        return len(self._left) == 1

    @property
    def type(self) -> TargetType:
        """The first type to try that takes all values, NULLs aside."""
        if self._empty:
            return natural_type(self._column, in_key=self._in_key)
        return _chosen(self._left[0], in_key=self._in_key)


def choose(column: Column, values: Iterable[Value], *, in_key: bool = False) -> TargetType:
    """The target type for a column with these values, all of them at hand."""
    present = [value for value in values if value is not None]
    if not present:
        return natural_type(column, in_key=in_key)
    # What comes behind the first type that goes is not tried.
    found = next(type_ for type_ in candidates(column) if type_.accepts_all(present))
    return _chosen(found, in_key=in_key)


def _chosen(found: TargetType, *, in_key: bool) -> TargetType:
    """The type as the column gets it: candidates are all as strict as those of a key."""
    return target_type(found.name, found.affinity, found.options, in_key=in_key)


def _forms(spec: str) -> tuple[Options, ...]:
    return (Options(separator=" "), Options()) if spec == "timestamp" else (Options(),)
