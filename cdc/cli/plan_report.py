"""The plan for people: calm where all is well, precise where it is not."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text

from cdc.cli.output import DATA, tell
from cdc.cli.plan_words import number, seen, shown_stored, shown_value
from cdc.constraints import Index
from cdc.mapping.extras import AskedIndex
from cdc.plan.fit import Change, Tally
from cdc.plan.plan import ColumnPlan, Plan, Problem, SourcePlan, TablePlan
from cdc.schema import Key
from cdc.sqlite.blindspots import ends_statements
from cdc.sqlite.search import FoundRows

_HEADERS: Final = ("column", "in SQLite", "in PostgreSQL", "what is there")
_KINDS: Final = {"view": "a view", "virtual": "a virtual table", "shadow": "its shadow table"}
_ALTERED: Final = {"round": "rounded", "truncate": "cut short", "null": "stored as NULL"}


def print_plan(plan: Plan) -> None:
    """Print the report to standard output, and what it rests on to standard error."""
    for source in plan.sources:
        _print_source(source)
    _print_effects()
    if plan.unasked:
        tell(f"PostgreSQL was not asked, so tables in the way are not seen: {plan.unasked}")
    _print_verdict(plan)


def _print_source(source: SourcePlan) -> None:
    _line(f"{source.name}  {source.path}", style="bold")
    for problem in source.problems:
        _print_problem(problem)
    for table in source.tables:
        _print_table(table)
    for words in _left_behind(source):
        _line(f"  {words}")
    DATA.print()


def _print_table(plan: TablePlan) -> None:
    table = plan.source.table
    key = ", ".join(column.name for column in table.key_columns)
    known_by = f"no key, told apart by {key}" if table.rowid_key else f"key {key}"
    copied = "; its target is there already" if plan.kept else ""
    DATA.print()
    _line(
        f"  {plan.name} → {plan.mapped.schema}.{plan.mapped.name}"
        f"  {number(plan.survey.rows, 'row')}, {known_by}{copied}",
        style="cyan",
    )
    _print_columns(plan.columns())
    for problem in plan.problems:
        _print_problem(problem)
    for column in plan.columns():
        _print_changes(column)
    for note in plan.notes:
        _line(f"    {note}")
    _print_constraints(plan)
    if table.rowid_key:
        _line("    VACUUM may renumber its rows; then it is copied again. A PRIMARY KEY helps.")


def _print_columns(columns: Iterable[ColumnPlan]) -> None:
    rows = [[Text(header, style="dim") for header in _HEADERS]]
    rows += [
        [
            Text(column.source.name),
            Text(column.source.declared or "-"),
            _target(column),
            Text(seen(column.profile)),
        ]
        for column in columns
    ]
    widths = [max(cell.cell_len for cell in cells) for cells in zip(*rows, strict=True)]
    for row in rows:
        # Not a table of rich: that folds its cells where output goes to a file.
        line = Text("    ")
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        DATA.print(line)


def _print_constraints(plan: TablePlan) -> None:
    """What of the table's schema crosses, and what does not."""
    if plan.by_hand:
        _line("    Made by hand: its indexes and constraints are as they are there.")
        return
    if plan.design.indexes:
        made = {index.source for index in plan.design.indexes}
        names = [_index(each) for each in plan.source.constraints.indexes if each.name in made]
        names += [_asked(each) for each in plan.mapped.extras.indexes]
        _line(f"    Indexes: {'; '.join(names)}.")
    _print_columns_of_ours(plan)
    for key in plan.foreign_keys:
        if key.orphans is not None and key.orphans.count:
            _print_orphans(f"Foreign key {key}", key.orphans)
        elif key.design is not None and key.orphans is None:
            _line(f"    Foreign key {key}: its orphans are counted once both tables are copied.")
        elif key.design is not None:
            _line(f"    Foreign key {key}: no orphans.")
    left_out = list(plan.left_out())
    if left_out:
        _line("    Not carried over:")
    for words in left_out:
        _line(f"      {words}")


def _print_columns_of_ours(plan: TablePlan) -> None:
    """The columns whose values are not simply SQLite's."""
    if names := plan.design.generation.names:
        _line(f"    Computed by a trigger where another than cdc writes: {', '.join(names)}.")
    if added := [f"{each.name} {each.type}" for each in plan.mapped.extras.added]:
        _line(f"    Added, as configured: {'; '.join(added)}.")


def _index(index: Index) -> str:
    """An index by its name, or by its columns where a UNIQUE made it, whose name is SQLite's."""
    columns = ", ".join(term.column or term.expression or "" for term in index.terms)
    name = f"{index.name} ({columns})" if index.declared else f"({columns})"
    return f"unique {name}" if index.unique else name


def _asked(index: AskedIndex) -> str:
    """An index of the configuration, in the same words."""
    name = f"{index.name or ''} ({', '.join(index.columns)}), as configured".strip()
    return f"unique {name}" if index.unique else name


def _print_orphans(key: str, orphans: FoundRows) -> None:
    rows = "row refers" if orphans.count == 1 else "rows refer"
    _line(
        f"    ! {key}: {orphans.count:,} {rows} to nothing, {_such_as(orphans.examples)}."
        " They are copied as they are, and the foreign key is not validated until they are mended.",
        style="yellow",
    )


def _such_as(keys: Iterable[Key]) -> str:
    return "such as key " + "; ".join(", ".join(map(shown_value, each)) for each in keys)


def _target(column: ColumnPlan) -> Text:
    if column.target is None:
        return Text("left out")
    name = column.target.name
    renamed = "" if name == column.source.name else f" {name}"
    words = f"{column.target.type.name}{renamed}"
    found = column.found
    if found.misfits.count:
        return Text(f"{words} ✗ {found.misfits.count:,}", style="red")
    if changed := _changed(column):
        return Text(f"{words} ≈ {changed:,}", style="yellow")
    return Text(words)


def _changed(column: ColumnPlan) -> int:
    return column.found.altered.count + column.found.settled.count


def _print_changes(column: ColumnPlan) -> None:
    """The values for which another one is stored, as the configuration asks."""
    if column.target is None:
        return
    name, found = column.source.name, column.found
    if found.altered.count:
        how = _ALTERED[column.target.type.options.instead]
        values = number(found.altered.count, "value")
        verb = "is" if found.altered.count == 1 else "are"
        _line(f"    ≈ {values} of {name} {verb} {how}, as configured:", style="yellow")
    _print_examples(found.altered)
    if found.settled.count:
        times = number(found.settled.count, "local time")
        _line(
            f"    ≈ {times} of {name}: the clocks show it twice or never, and the configuration"
            " says which instant it is:",
            style="yellow",
        )
    _print_examples(found.settled)


def _print_examples(changes: Tally[Change]) -> None:
    for each in changes.examples:
        key = ", ".join(map(shown_value, each.key))
        _line(f"        key {key}: {shown_value(each.value)} becomes {shown_stored(each.stored)}")


def _print_problem(problem: Problem) -> None:
    if problem.set_aside:
        _line(f"    ! {problem.text} Such rows go to quarantine.", style="yellow")
    else:
        _line(f"    ✗ {problem.text}", style="red")
    for example in problem.examples:
        key = ", ".join(map(shown_value, example.key))
        _line(f"        key {key}: {shown_value(example.value)}: {example.reason}")
    if problem.keys:
        _line(f"        {_such_as(problem.keys)}")
    for remedy in problem.remedies:
        _line(f"      → {remedy.text}")
        for line in remedy.lines:
            _line(f"          {line}")


def _left_behind(source: SourcePlan) -> Iterator[str]:
    """What of the file does not reach PostgreSQL."""
    if source.left_out:
        yield f"Excluded by the configuration: {', '.join(source.left_out)}."
    for name, kind in source.uncaptured:
        yield f"{name} is {_KINDS[kind]} and is not captured."
    for trigger in source.triggers:
        yield f"Trigger {trigger.name} on {trigger.table} stays in SQLite; what it writes crosses."
        if ends_statements(trigger.sql):
            yield (
                "  It can end a statement before the capture has seen the row, by RAISE(IGNORE),"
                " RAISE(FAIL) or OR FAIL: docs/capture.md says when that hides a change."
            )


def _print_effects() -> None:
    _line("What the application can notice once its tables are captured", style="bold")
    for words in (
        "ALTER TABLE … DROP COLUMN fails; `cdc uninstall --table T` clears the way.",
        "A table renamed under legacy_alter_table takes no writes until cdc run has mended it.",
        "total_changes() counts the rows that the capture writes; the file grows with each write.",
        "Each write takes some microseconds longer. docs/capture.md has the whole list.",
    ):
        _line(f"  {words}")
    DATA.print()


def _print_verdict(plan: Plan) -> None:
    problems = len(plan.problems)
    rows = sum(table.survey.rows for source in plan.sources for table in source.tables)
    tables = sum(len(source.tables) for source in plan.sources)
    if problems:
        _line(f"{number(problems, 'problem')}: each is marked ✗ above.", style="bold red")
    elif plan.set_aside:
        _line(
            "Nothing stops the run, but rows go to quarantine: each reason is marked ! above.",
            style="bold yellow",
        )
    else:
        words = f"All fits: {number(tables, 'table')}, {number(rows, 'row')}"
        if changed := sum(map(_changed, plan.columns())):
            words += f"; for {number(changed, 'value')} another is stored, as configured (≈)"
        _line(f"{words}. Next: cdc run", style="bold green")


def _line(words: str, style: str = "") -> None:
    DATA.print(words, markup=False, style=style)
