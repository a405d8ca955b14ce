"""What would be refused, said with what to write into the configuration instead."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cdc.config import TableConfig
from cdc.config.columns import ColumnConfig
from cdc.errors import CdcError
from cdc.plan.entry import entry_lines
from cdc.plan.fit import ColumnFit
from cdc.plan.plan import ColumnPlan, Problem, Remedy, TablePlan
from cdc.plan.variants import Variant

_LOSSY: Final = {"round": "rounded", "truncate": "cut short"}


def of_error(error: CdcError, table: str | None = None) -> Problem:
    """A refusal that an error tells."""
    return Problem(str(error), (Remedy(error.hint),) if error.hint else (), table=table)


def of_table(plan: TablePlan, config: TableConfig | None, *, takes_all: bool) -> Iterator[Problem]:
    """The values of a table that its target would refuse, or that would be set aside.

    `config` is what the configuration says of the table. `takes_all` is on_error = "quarantine"; a
    column may ask for the same alone.
    """
    given = {} if config is None else {name.lower(): c for name, c in config.columns.items()}
    fits = {
        target.source: fit
        for target, fit in zip(plan.mapped.columns, plan.survey.fits, strict=True)
    }
    for i, column in enumerate(plan.columns()):
        if column.target is None or not column.found.misfits.count:
            continue
        set_aside = takes_all or column.target.on_misfit == "quarantine"
        nulls = column.profile.nulls if column.in_key else 0
        count = column.found.misfits.count - nulls
        if nulls:
            yield replace(_null_key(plan.name, column, nulls), set_aside=set_aside)
        if count:
            entry = given.get(column.source.name.lower())
            problem = _misfit(plan.name, column, fits[i], entry, count)
            yield replace(problem, set_aside=set_aside)


def _null_key(table: str, column: ColumnPlan, nulls: int) -> Problem:
    rows = "1 row has" if nulls == 1 else f"{nulls:,} rows have"
    return Problem(
        f"{rows} NULL in {column.source.name}, a column of the key; PostgreSQL has no row without"
        " a key.",
        (Remedy("Give the rows a key in SQLite, or exclude the table."),),
        table=table,
        column=column.source.name,
        examples=tuple(e for e in column.found.misfits.examples if e.value is None),
    )


def _misfit(
    table: str, column: ColumnPlan, fit: ColumnFit, given: ColumnConfig | None, count: int
) -> Problem:
    assert column.target is not None
    values = "1 value" if count == 1 else f"{count:,} values"
    return Problem(
        f"{values} of {column.source.name} would not fit {column.target.type.name}.",
        tuple(_remedies(table, column, fit, given)),
        table=table,
        column=column.source.name,
        examples=tuple(e for e in column.found.misfits.examples if e.value is not None),
    )


def _remedies(
    table: str, column: ColumnPlan, fit: ColumnFit, given: ColumnConfig | None
) -> Iterator[Remedy]:
    """Entries under which every value fits: what the operator asked for first, what loses last."""
    name = column.source.name
    place = "write into the configuration" if given is None else "let the column's entry be"
    near = fit.nearest(column.profile)
    exact = [each for each in near if not each.lossy][:1]
    for each in exact:
        yield Remedy(
            f"Every value fits {each.type.name} with these options; {place}:",
            entry_lines(table, name, each.type, given),
        )
    type_ = fit.alternative
    yield Remedy(
        f"Every value fits {type_.name}; {'or ' if exact else ''}{place}:",
        entry_lines(table, name, type_, given),
    )
    for each in near:
        if each.lossy:
            yield _losing(each, place, entry_lines(table, name, each.type, given))


def _losing(variant: Variant, place: str, lines: tuple[str, ...]) -> Remedy:
    word = _LOSSY[variant.type.options.instead]
    return Remedy(
        f"Or have what does not fit {variant.type.name} {word}, which cannot be undone; {place}:",
        lines,
    )
