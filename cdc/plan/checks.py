"""Rows that break a CHECK: SQLite takes them where it was told not to look, PostgreSQL does not."""

from collections.abc import Callable, Iterator

from cdc.constraints import Check
from cdc.plan.plan import Problem, Remedy, TablePlan
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.search import FoundRows, find_rows


def broken_checks(
    file: SourceFile,
    plan: TablePlan,
    *,
    lock_bound_seconds: float,
    takes_all: bool,
    advance: Callable[[int], object],
) -> Iterator[Problem]:
    """A problem for each CHECK that the target gets and that rows of the table break.

    A table that was made by hand has its own, which nobody here can read. `takes_all` is
    on_error = "quarantine".
    """
    refused = {each.text for each in plan.design.untranslated}
    checks = [each for each in plan.source.constraints.checks if each.text not in refused]
    if plan.by_hand or not checks:
        return
    # NULL passes, as it does in either database.
    conditions = [f"NOT ({check.text})" for check in checks]
    found = find_rows(
        file, plan.source, conditions, lock_bound_seconds=lock_bound_seconds, advance=advance
    )
    for check, rows in zip(checks, found, strict=True):
        if rows.count:
            yield _problem(plan.name, check, rows, set_aside=takes_all)


def _problem(table: str, check: Check, rows: FoundRows, *, set_aside: bool) -> Problem:
    break_ = "1 row breaks" if rows.count == 1 else f"{rows.count:,} rows break"
    return Problem(
        f"{break_} CHECK ({check.text}), which PostgreSQL gets too.",
        (Remedy("Mend the rows in SQLite, or exclude the table."),),
        table=table,
        keys=tuple(rows.examples),
        set_aside=set_aside,
    )
