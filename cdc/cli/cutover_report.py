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
        "direction": report.direction,
        "cause": report.cause,
        "started_at": report.started_at.isoformat(),
        "ended_at": report.ended_at.isoformat() if report.ended_at else None,
        "held_seconds": [round(seconds, 6) for seconds in report.held],
        "trouble": report.trouble,
        "positions": report.positions,
        "proofs": report.proofs,
        "gates": gates_as_json(report.gates)["gates"],
        "opened_before": report.opened_before,
        "opened_after": report.opened_after,
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


def conclusion(report: Report) -> str:
    """What it came to, in one sentence."""
    if report.ended_at is not None:
        return WORDS[report.outcome]
    last = report.phases[-1].name if report.phases else "none"
    return f"Not ended: it is under way, or its process has died. Its last phase: {last}."


def print_report(report: Report) -> None:
    """The outcome first, then the phases, then what the hooks said."""
    good = report.exit_code == 0
    DATA.print(conclusion(report), markup=False, style="bold green" if good else "bold red")
    if report.cause:
        DATA.print(f"  {report.cause}", markup=False)
    if report.reason:
        DATA.print(f"  {report.reason}", markup=False)
    for trouble in report.trouble:
        if trouble not in report.reason:
            DATA.print(f"  see to it: {trouble}", markup=False)
    if report.freeze_seconds is not None:
        DATA.print(f"  nobody could write for {duration(report.freeze_seconds)}", markup=False)
    if report.phases:
        _print_phases(report)
    _print_list("proven", report.proofs)
    _print_list("event", [f"{name} {seq:,}" for name, seq in report.positions.items()])
    _print_list("had the files open before", report.opened_before)
    _print_list("have them open now", report.opened_after)
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


def _print_list(name: str, lines: Sequence[str]) -> None:
    for line in lines:
        DATA.print(f"{name}: {line}", markup=False)
