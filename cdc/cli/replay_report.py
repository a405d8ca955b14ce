"""What `cdc replay` says of one source."""

from collections.abc import Iterator
from typing import Any

from cdc.cli.output import DATA, duration
from cdc.cli.verify_report import describe
from cdc.proof.outcome import TableOutcome
from cdc.rebuild.source_replay import ReplayOutcome
from cdc.replay.forms import time_form
from cdc.replay.goal import Goal
from cdc.replay.request import Into, IntoDatabase, IntoFile, IntoSchema, Request

MOST_EXAMPLES = 5


def print_outcome(outcome: ReplayOutcome, request: Request) -> None:
    """Say what was rebuilt, up to which moment, and what is proven of it."""
    for line in _lines(outcome, request):
        DATA.print(line, markup=False)
    if not outcome.equal:
        for line in _differences(outcome):
            DATA.print(line, markup=False, style="bold red")


def _lines(outcome: ReplayOutcome, request: Request) -> Iterator[str]:
    done = "would be rebuilt" if request.dry_run else "rebuilt"
    count = len(outcome.tables)
    tables = "1 table" if count == 1 else f"{count} tables"
    yield f"{outcome.name}  {tables} {done} {_where(request.into)}, as of {_moment(outcome.goal)}"
    live = outcome.events - outcome.archived
    yield (
        f"  from {outcome.baselines} baselines with {outcome.rows:,} rows, and {outcome.events:,}"
        f" events: {outcome.archived:,} of the archive, {live:,} of the file"
    )
    if outcome.missing:
        yield f"  from the archive alone: {outcome.missing}"
    if outcome.unknown:
        yield f"  not recorded yet at that moment: {', '.join(outcome.unknown)}"
    for name, rows in sorted(outcome.set_aside.items()):
        yield f"  {name}: {rows:,} rows cannot be held, and are in the quarantine"
    for note in outcome.notes:
        yield f"  {note}"
    if not request.dry_run:
        yield f"  {_proof(outcome)}"
        yield f"  in {duration(outcome.seconds)}"


def _where(into: Into) -> str:
    match into:
        case IntoSchema(schema):
            return f"in the schema {schema}"
        case IntoDatabase():
            return "in the other database"
        case IntoFile(path):
            return f"in {path}"
    return "in the target"


def _moment(goal: Goal) -> str:
    at = "" if goal.at is None else f" of {goal.at:%Y-%m-%d %H:%M:%S.%f} UTC"
    end = ", the newest" if goal.is_end else ""
    between = "" if goal.whole else "; whether a transaction goes on behind it is not known"
    return f"event {goal.seq:,}{at}{end}{between}"


def _proof(outcome: ReplayOutcome) -> str:
    rows = sum(table.rows + table.kept_rows for table in outcome.proof)
    words = ""
    if outcome.proof:
        words = f"compared with the source: {rows:,} rows, " + (
            "all equal" if outcome.equal else "NOT equal"
        )
        if outcome.open:
            words += f", but for {outcome.open:,} that have changed since"
    if outcome.unproven:
        words += f"{'; ' if words else ''}not compared: {outcome.unproven}"
    return words or "there was nothing to compare"


def _differences(outcome: ReplayOutcome) -> Iterator[str]:
    for table in outcome.proof:
        if table.missing or table.extra or table.different:
            yield (
                f"  {table.name}: {table.missing:,} missing, {table.extra:,} extra,"
                f" {table.different:,} different"
            )
            for each in table.examples[:MOST_EXAMPLES]:
                yield f"    {describe(each)}"


def as_json(outcome: ReplayOutcome) -> dict[str, Any]:
    """The contract of one source in `replay --json`."""
    goal = outcome.goal
    return {
        "name": outcome.name,
        "log": outcome.log_id,
        "seq": goal.seq,
        "at": time_form(goal.at),
        "whole": goal.whole,
        "newest": goal.is_end,
        "tables": list(outcome.tables),
        "not_recorded": list(outcome.unknown),
        "events": outcome.events,
        "events_archived": outcome.archived,
        "baselines": outcome.baselines,
        "baseline_rows": outcome.rows,
        "archive_alone": outcome.missing,
        "quarantined": outcome.set_aside,
        "notes": outcome.notes,
        "equal": outcome.equal if outcome.proof else None,
        "changed_since": outcome.open,
        "unproven": outcome.unproven,
        "proof": [_table_as_json(table) for table in outcome.proof],
        "seconds": round(outcome.seconds, 3),
    }


def _table_as_json(table: TableOutcome) -> dict[str, Any]:
    return {
        "table": table.name,
        "target": table.target,
        "rows": table.rows + table.kept_rows,
        "missing": table.missing,
        "extra": table.extra,
        "different": table.different,
        "changed_since": table.owed,
        "problem": table.problem,
        "examples": [
            {
                "what": each.what,
                "key": list(each.key),
                "columns": [
                    {"column": c.column, "source": c.source, "target": c.target}
                    for c in each.columns
                ],
            }
            for each in table.examples
        ],
    }
