"""What a cutover or a way back came to, as text and as JSON."""

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table

from cdc.cli.output import DATA, duration
from cdc.cutover.phases import Report
from cdc.cutover.sight import Gate

WORDS: Final = {
    "switched": "PostgreSQL takes the writes.",
    "rolled_back": "SQLite takes the writes again.",
    "finished": "PostgreSQL is the master for good.",
    "aborted": "Nothing was switched.",
    "in_doubt": "IN DOUBT. Nothing was thawed.",
}


def gates_as_json(found: Sequence[Gate]) -> dict[str, Any]:
    """The contract of `cutover --dry-run --json`."""
    return {
        "passed": all(gate.passed for gate in found),
        "gates": [
            {
                "name": gate.name,
                "passed": gate.passed,
                "evidence": gate.evidence,
                "remedy": gate.remedy,
            }
            for gate in found
        ],
    }


def report_as_json(report: Report) -> dict[str, Any]:
    """The contract of `cutover --json` and `rollback --json`."""
    return {
        "outcome": report.outcome,
        "reason": report.reason,
        "freeze_seconds": report.freeze_seconds,
        "phases": [
            {
                "name": phase.name,
                "seconds": round(phase.seconds, 6),
                "budget_seconds": phase.budget_seconds,
            }
            for phase in report.phases
        ],
        "run": report.run,
        "held_seconds": [round(seconds, 6) for seconds in report.held],
        "trouble": report.trouble,
        "hooks": [
            {
                "on": hook.on,
                "command": hook.command,
                "seconds": round(hook.seconds, 6),
                "output": hook.output,
                "problem": hook.problem,
            }
            for hook in report.hooks
        ],
    }


def print_gates(found: Sequence[Gate]) -> None:
    """Every gate with its evidence, and what to do about those that do not pass."""
    for gate in found:
        style = "green" if gate.passed else "bold red"
        DATA.print(f"{'pass' if gate.passed else 'FAIL'}  {gate.name}", markup=False, style=style)
        for line in gate.evidence:
            DATA.print(f"      {line}", markup=False)
        if gate.remedy:
            DATA.print(f"      → {gate.remedy}", markup=False)


def print_report(report: Report) -> None:
    """The outcome first, then the phases, then what the hooks said."""
    good = report.exit_code == 0
    DATA.print(WORDS[report.outcome], markup=False, style="bold green" if good else "bold red")
    if report.reason:
        DATA.print(f"  {report.reason}", markup=False)
    for trouble in report.trouble:
        if trouble not in report.reason:
            DATA.print(f"  see to it: {trouble}", markup=False)
    if report.freeze_seconds is not None:
        DATA.print(f"  nobody could write for {duration(report.freeze_seconds)}", markup=False)
    if report.phases:
        _print_phases(report)
    for hook in report.hooks:
        ended = hook.problem or "done"
        DATA.print(f"{hook.on}: {hook.name}: {ended}, {duration(hook.seconds)}", markup=False)
        for line in hook.output.splitlines():
            DATA.print(f"      {line}", markup=False)


def _print_phases(report: Report) -> None:
    table = Table("phase", box=None, pad_edge=False, header_style="bold")
    for column in ("took", "of at most"):
        table.add_column(column, justify="right")
    for phase in report.phases:
        table.add_row(phase.name, duration(phase.seconds), duration(phase.budget_seconds))
    DATA.print(table)
    if len(report.held) > 1:
        tries = ", ".join(duration(seconds) for seconds in report.held)
        DATA.print(f"held {len(report.held)} times: {tries}", markup=False)
