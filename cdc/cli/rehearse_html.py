"""The report of a rehearsal as one page that can be kept."""

from collections.abc import Iterable
from typing import Final

from cdc.cli.cutover_html import gates_grid, items, part
from cdc.cli.output import duration
from cdc.cli.page import NONE, Circumstances, grid, page, text, utc
from cdc.cli.rehearse_report import conclusion, expectations, load_lines, phase_rows
from cdc.cutover.phases import Report
from cdc.rehearsal.outcome import Rehearsal

FOOTER: Final = (
    "Written by cdc rehearse. What it rests on stands in docs/cutover.md; the times are those of"
    " copies on this machine, with the load that is named here."
)


def as_html(outcome: Rehearsal, about: Circumstances) -> str:
    """The page."""
    said, _ = conclusion(outcome)
    body = [
        *part("To expect", items(expectations(outcome))),
        *part("Phases", _phases(phase_rows(outcome))),
        *part("Each time", _rounds(outcome)),
        *part("Load and room", items(load_lines(outcome))),
        *part("To be known", items(outcome.notes)),
        *part("The gates of the real system", gates_grid(outcome.gates)),
    ]
    return page(
        f"Rehearsal of a cutover, {utc(outcome.started_at)}",
        "Proven" if outcome.proven else "NOT proven",
        said,
        good=outcome.proven,
        facts={
            "Began": utc(outcome.started_at),
            "Took": duration(outcome.seconds),
            "Target": about.target,
        }
        | about.facts,
        body="\n".join(body),
        footer=FOOTER,
    )


def _phases(found: Iterable[tuple[str, str, str, str]]) -> str:
    rows = "\n".join(
        f"<tr><td>{text(name)}</td>{''.join(map(_number, times))}</tr>" for name, *times in found
    )
    header = "<th>phase</th>" + "".join(
        f'<th class="n">{each}</th>' for each in ("median", "longest", "of at most")
    )
    return grid(header, rows) if rows else ""


def _rounds(outcome: Rehearsal) -> str:
    rows = "\n".join(
        f'<tr><td class="n">{number}</td><td class="n">{_frozen(each.cutover)}</td>'
        f'<td class="n">{each.written:,}</td><td class="n">{_frozen(each.rollback)}</td>'
        f'<td class="{"yes" if each.proven else "no"}">{"proven" if each.proven else "NOT"}</td>'
        "</tr>"
        for number, each in enumerate(outcome.rounds, 1)
    )
    header = (
        '<th class="n">round</th><th class="n">frozen there</th><th class="n">rows written</th>'
        '<th class="n">frozen back</th><th>in the end</th>'
    )
    return grid(header, rows) if rows else ""


def _number(words: str) -> str:
    return f'<td class="n">{words}</td>'


def _frozen(report: Report | None) -> str:
    if report is None or report.freeze_seconds is None:
        return NONE
    return duration(report.freeze_seconds)
