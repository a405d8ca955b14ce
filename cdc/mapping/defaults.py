"""Which target type a column gets when the configuration does not say.

The declared type speaks first, but SQLite does not hold anybody to it; so the values that are
really there decide: a column gets the first type of its list that carries every one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, LITERAL, NUMERIC, TEXT, TargetType
from cdc.schema import Affinity, Column, Row, Value

_BY_AFFINITY: Final[Mapping[Affinity, Sequence[TargetType]]] = {
    "INTEGER": (BIGINT, NUMERIC, LITERAL),
    "REAL": (DOUBLE, LITERAL),
    "TEXT": (TEXT, LITERAL),
    "BLOB": (BYTEA, TEXT, LITERAL),
    "NUMERIC": (NUMERIC, TEXT, LITERAL),
}
_UNTYPED: Final = (BIGINT, DOUBLE, TEXT, BYTEA, LITERAL)
_MOMENT: Final = (TEXT, BIGINT, NUMERIC, LITERAL)
_BOOLEAN: Final = (BIGINT, TEXT, LITERAL)


def candidates(column: Column) -> Sequence[TargetType]:
    """The types to try, the natural one first. The last, `literal`, carries any value.

    >>> [t.name for t in candidates(Column("price", "DECIMAL(10,2)", "NUMERIC"))]
    ['numeric', 'text', 'literal']
    """
    declared = column.declared.upper()
    if _is_untyped(column):
        return _UNTYPED
    if column.affinity == "NUMERIC" and ("DATE" in declared or "TIME" in declared):
        return _MOMENT
    if column.affinity == "NUMERIC" and "BOOL" in declared:
        return _BOOLEAN
    return _BY_AFFINITY[column.affinity]


def _is_untyped(column: Column) -> bool:
    return column.affinity == "BLOB" and "BLOB" not in column.declared.upper()


def natural_type(column: Column) -> TargetType:
    """The type for a column of which no value is known."""
    # A column without a type may hold anything next: only a literal is sure to carry it.
    return LITERAL if _is_untyped(column) else candidates(column)[0]


def choose(column: Column, values: Iterable[Value]) -> TargetType:
    """The target type for a column with these values, NULLs aside."""
    present = [value for value in values if value is not None]
    if not present:
        return natural_type(column)
    fitting = (t for t in candidates(column) if all(map(t.accepts, present)))
    return next(fitting)


def choose_all(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[TargetType, ...]:
    """The target type of each column of a table with these rows."""
    return tuple(choose(column, (row[i] for row in rows)) for i, column in enumerate(columns))
