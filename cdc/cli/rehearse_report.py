"""What a rehearsal came to, as text and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from cdc.cli.cutover_report import gates_as_json, print_gates, report_as_json
from cdc.cli.output import DATA, duration
from cdc.cutover.phases import Phase, Report
from cdc.rehearsal.outcome import Rehearsal, Round, Spread


def as_json(outcome: Rehearsal) -> dict[str, Any]:
    """The contract of `rehearse --json`."""
    gates = gates_as_json(outcome.gates)
    return {
        "proven": outcome.proven,
        "reason": outcome.reason,
        "seconds": round(outcome.seconds, 3),
        "freeze_seconds": _spread(outcome.freeze),
        "freeze_back_seconds": _spread(outcome.freeze_back),
        "held_seconds": _spread(outcome.held),
        "gates_passed": gates["passed"],
        "gates": gates["gates"],
        "rounds": [_round(each) for each in outcome.rounds],
        "load": [
            {
                "name": name,
                "events": load.events,
                "transactions": load.transactions,
                "longest_wait_seconds": round(load.longest_wait_seconds, 6),
                "impatient": load.impatient,
                "refused": load.refused,
                "missed": load.missed,
            }
            for name, load in outcome.load.items()
        ],
        "load_seconds": round(outcome.load_seconds, 3),
        "copy_seconds": {name: round(time, 3) for name, time in outcome.copy_seconds.items()},
        "room": [
            {"what": room.what, "needed_mb": room.needed_mb, "free_mb": room.free_mb}
            for room in outcome.rooms
        ],
        "notes": outcome.notes,
    }


def _spread(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {
        "median": round(spread.median, 6),
        "max": round(spread.longest, 6),
        "each": [round(time, 6) for time in spread.times],
    }


def _round(each: Round) -> dict[str, Any]:
    return {
        "cutover": report_as_json(each.cutover) if each.cutover else None,
        "rollback": report_as_json(each.rollback) if each.rollback else None,
        "written": each.written,
        "proven": each.proven,
    }


def print_rehearsal(outcome: Rehearsal) -> None:
    """The answer first, then what to expect, then what would stand in the way now."""
    words, style = conclusion(outcome)
    DATA.print(words, markup=False, style=style)
    for line in expectations(outcome):
        DATA.print(f"  {line}", markup=False)
    if phases := phase_rows(outcome):
        table = Table("phase", box=None, pad_edge=False, header_style="bold")
        for column in ("median", "longest", "of at most"):
            table.add_column(column, justify="right")
        for row in phases:
            table.add_row(*row)
        DATA.print(table)
    for line in load_lines(outcome):
        DATA.print(line, markup=False)
    for note in outcome.notes:
        DATA.print(f"note: {note}", markup=False)
    if failing := outcome.failing_gates:
        DATA.print("A cutover now would not begin:", markup=False, style="bold red")
        print_gates(failing)
    else:
        DATA.print("Every gate of the real system passes now.", markup=False)


def conclusion(outcome: Rehearsal) -> tuple[str, str]:
    """The answer in a line, and its style."""
    if outcome.proven:
        times = len(outcome.rounds)
        said = f"Rehearsed: {times} times there and back, each time proven equal."
        return said, "bold green"
    return f"NOT as it should be: {outcome.reason}", "bold red"


def expectations(outcome: Rehearsal) -> list[str]:
    """What to expect of the real thing."""
    lines = []
    if outcome.freeze is not None:
        lines.append(f"nobody will be able to write for about {_words(outcome.freeze)}")
    if outcome.held is not None:
        lines.append(f"files held for {_words(outcome.held)}, in {len(outcome.held.times)} holds")
    if outcome.freeze_back is not None:
        lines.append(f"on the way back for about {_words(outcome.freeze_back)}")
    return lines


def phase_rows(outcome: Rehearsal) -> list[tuple[str, str, str, str]]:
    """Each phase of all rounds: name, median, longest, budget; as words."""
    there = [each.cutover for each in outcome.rounds if each.cutover]
    back = [each.rollback for each in outcome.rounds if each.rollback]
    return [*_phases(there, ""), *_phases(back, "back: ")]


def load_lines(outcome: Rehearsal) -> list[str]:
    """How busy the copies were, and what their writers met."""
    lines = []
    for name, load in outcome.load.items():
        line = (
            f"load on {name}: {load.events:,} events in {load.transactions:,} transactions; the"
            f" longest took {duration(load.longest_wait_seconds)}"
        )
        if load.impatient:
            line += f", and {load.impatient:,} waited for longer than 250 ms"
        lines.append(line)
    return [*lines, *(f"disk: {room}" for room in outcome.rooms)]


def _phases(reports: Sequence[Report], before: str) -> list[tuple[str, str, str, str]]:
    found: dict[str, list[Phase]] = {}
    for report in reports:
        for phase in report.phases:
            found.setdefault(phase.name, []).append(phase)
    rows = []
    for name, phases in found.items():
        spread = Spread(tuple(phase.seconds for phase in phases))
        budget = duration(phases[0].budget_seconds)
        rows.append((before + name, duration(spread.median), duration(spread.longest), budget))
    return rows


def _words(spread: Spread) -> str:
    return f"{duration(spread.median)} (median), {duration(spread.longest)} at most"
