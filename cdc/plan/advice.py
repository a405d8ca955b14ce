"""What would be refused, said with what to write into the configuration instead."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cdc.config.toml import toml_value
from cdc.errors import CdcError
from cdc.plan.plan import ColumnPlan, Problem, TablePlan

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def of_error(error: CdcError, table: str | None = None) -> Problem:
    """A refusal that an error tells."""
    return Problem(str(error), error.hint, table=table)


def of_table(plan: TablePlan, *, takes_all: bool) -> Iterator[Problem]:
    """The values of a table that its target would refuse, or that would be set aside.

    `takes_all` is on_error = "quarantine"; a column may ask for the same alone.
    """
    alternatives = {
        target.source: fit.alternative
        for target, fit in zip(plan.mapped.columns, plan.survey.fits, strict=True)
    }
    for i, column in enumerate(plan.columns()):
        if column.target is None or not column.misfits.count:
            continue
        set_aside = takes_all or column.target.on_misfit == "quarantine"
        nulls = column.profile.nulls if column.in_key else 0
        count = column.misfits.count - nulls
        if nulls:
            problem = _null_key(plan.name, column, nulls)
            yield replace(problem, set_aside=set_aside)
        if count:
            problem = _misfit(plan.name, column, alternatives[i].name, count)
            yield replace(problem, set_aside=set_aside)


def _null_key(table: str, column: ColumnPlan, nulls: int) -> Problem:
    rows = "1 row has" if nulls == 1 else f"{nulls:,} rows have"
    return Problem(
        f"{rows} NULL in {column.source.name}, a column of the key; PostgreSQL has no row without"
        " a key.",
        "Give the rows a key in SQLite, or exclude the table.",
        table=table,
        column=column.source.name,
        examples=tuple(e for e in column.misfits.examples if e.value is None),
    )


def _misfit(table: str, column: ColumnPlan, alternative: str, count: int) -> Problem:
    assert column.target is not None
    values = "1 value" if count == 1 else f"{count:,} values"
    return Problem(
        f"{values} of {column.source.name} would not fit {column.target.type.name}.",
        f"Every value fits {alternative}; write into the configuration:",
        (
            f"[sources.tables.{toml_key(table)}.columns.{toml_key(column.source.name)}]",
            f"type = {toml_value(alternative)}",
        ),
        table=table,
        column=column.source.name,
        examples=tuple(e for e in column.misfits.examples if e.value is not None),
    )


def toml_key(name: str) -> str:
    """A name as a key of TOML.

    >>> toml_key("trades"), toml_key("our trades")
    ('trades', '"our trades"')
    """
    return name if _BARE_KEY.fullmatch(name) else toml_value(name)
