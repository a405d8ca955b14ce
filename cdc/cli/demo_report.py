"""The tables of the demo: the lag of a stretch, the gates in short, the services, the ending."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from cdc.cli.output import DATA, duration
from cdc.demo.fleet import ServiceReport
from cdc.demo.performance import percentiles
from cdc.pipeline.progress import SourceProgress, SourceState

EVIDENCE_WIDTH: Final = 50


def print_lag(sources: Sequence[SourceProgress]) -> None:
    """How long each source's changes took to the other side, since the direction last turned."""
    back = all(source.state is SourceState.RETURNING for source in sources)
    table = _new_table("source", "brought back" if back else "applied", "lag p50", "lag p99")
    for source in sources:
        median, high = percentiles(list(source.delays))
        table.add_row(source.name, f"{source.events:,}", duration(median), duration(high))
    DATA.print(table)


def print_gates(report: Mapping[str, Any]) -> None:
    """A line for each gate of `cutover --dry-run`; all that is wrong where one does not pass."""
    for gate in report["gates"]:
        first, *others = gate["evidence"] or [""]
        if gate["passed"]:
            more = f" (and {len(others)} more)" if others else ""
            DATA.print(f"pass  {gate['name']:<12} {_cut(first)}{more}", markup=False)
            continue
        DATA.print(f"FAIL  {gate['name']:<12} {first}", markup=False, style="bold red")
        for line in (*others, f"→ {gate['remedy']}"):
            DATA.print(f"      {line}", markup=False)


def print_services(reports: Sequence[ServiceReport]) -> None:
    """The writes of each service by the side that took them, those that were refused, and how many
    of its rows it has looked for.
    """
    table = _new_table(
        "service",
        "on SQLite",
        "on PostgreSQL",
        "refused",
        "slowest",
        "checked",
        "lost",
        "doubled",
    )
    for each in reports:
        table.add_row(
            each.service,
            f"{each.writes - each.on_postgresql:,}",
            f"{each.on_postgresql:,}",
            f"{each.locked + each.refused:,}",
            duration(each.slowest_ms / 1000),
            f"{each.checked:,}",
            f"{each.lost:,}",
            f"{each.doubled:,}",
        )
    DATA.print(table)


def print_ending(
    reports: Sequence[ServiceReport], freezes: Sequence[tuple[str, float]], *, equal: bool
) -> None:
    """The sum of it all in three lines."""
    writes = sum(each.writes for each in reports)
    lost = sum(each.lost for each in reports)
    doubled = sum(each.doubled for each in reports)
    good = equal and not lost and not doubled
    stood = ", ".join(f"{duration(seconds)} ({command})" for command, seconds in freezes)
    DATA.print(
        f"{writes:,} writes were acknowledged; {lost:,} lost, {doubled:,} doubled."
        f" Every row is {'equal' if equal else 'NOT equal'} on both sides.",
        markup=False,
        style="bold green" if good else "bold red",
    )
    DATA.print(f"Nobody could write for: {stood}.", markup=False)


def _cut(text: str) -> str:
    return text if len(text) <= EVIDENCE_WIDTH else text[: EVIDENCE_WIDTH - 1] + "…"


def _new_table(first: str, *others: str) -> Table:
    table = Table(first, box=None, pad_edge=False, header_style="bold")
    for name in others:
        table.add_column(name, justify="right")
    return table
