"""Which values of a target column SQLite could not give back as they are."""

from collections.abc import Iterator
from typing import Final

from cdc.mapping.table import MappedTable, TargetColumn

DOUBLE_DIGITS: Final = 15
"""Decimal digits that a double holds, whichever they are."""

NUMBERS: Final = frozenset(("INTEGER", "REAL", "NUMERIC"))
"""Affinities by which SQLite makes a number of a text that reads as one."""


def limits(table: MappedTable) -> Iterator[tuple[str, str]]:
    """The columns that have such values, each with what they are.

    PostgreSQL may hold them once others write there; a row with one is set aside on the way back.
    """
    for column in table.columns:
        words = _limit(column)
        if words and not table.source.columns[column.source].generated:
            yield column.name, words


def _limit(column: TargetColumn) -> str:
    base, _, arguments = column.type.name.partition("(")
    affinity = column.type.affinity
    if base in {"text", "varchar"} and affinity in NUMBERS:
        return "texts that read as numbers, such as 007"
    if base == "numeric" and affinity != "TEXT":
        digits = int(arguments.rstrip(")").partition(",")[0]) if arguments else None
        if digits is None or digits > DOUBLE_DIGITS:
            return f"numbers of more than {DOUBLE_DIGITS} digits"
    if base == "timestamptz" and column.type.options.timezone:
        return f"an hour that the clocks of {column.type.options.timezone} show twice"
    return ""
