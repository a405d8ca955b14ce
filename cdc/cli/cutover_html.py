"""The report of a cutover or a rollback as one page that can be kept."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from cdc.cli.cutover_report import conclusion
from cdc.cli.output import duration
from cdc.cli.page import NONE, Circumstances, code, grid, page, text, utc
from cdc.cutover.phases import Report
from cdc.cutover.sight import Gate

FOOTER: Final = (
    "Written by cdc. What each phase and each gate means, and what to do where one fails, stands in"
    " docs/cutover.md."
)

KINDS: Final = {
    "forward": "Cutover, from SQLite to PostgreSQL",
    "back": "Rollback, from PostgreSQL to SQLite",
    "end": "The end of the way back",
    "loss": "Rollback without PostgreSQL",
}


def as_html(report: Report, about: Circumstances, left: Iterable[str] = ()) -> str:
    """The page. `left` is in what state it has left things."""
    body = [
        *part("Phases", _phases(report)),
        *part("See to it", items(report.trouble)),
        *part("What it has left", items(left)),
        *part("Gates", gates_grid(report.gates)),
        *part("Proofs", items(report.proofs)),
        *part("Positions", _positions(report)),
        *part("Hooks", "".join(_hooks(report))),
        *part("Who had the files open before", items(report.opened_before)),
        *part("Who had the files open afterwards", items(report.opened_after)),
    ]
    kind = KINDS[report.direction]
    return page(
        f"{kind}, {utc(report.started_at)}",
        conclusion(report),
        report.reason,
        good=report.exit_code == 0,
        facts=_facts(report, about),
        body="\n".join(body),
        footer=FOOTER,
    )


def _facts(report: Report, about: Circumstances) -> dict[str, str]:
    facts = {"Kind": KINDS[report.direction], "Run": report.run, "Began": utc(report.started_at)}
    if report.ended_at is not None:
        took = duration((report.ended_at - report.started_at) / timedelta(seconds=1))
        facts["Ended"] = f"{utc(report.ended_at)}, after {took}"
    if report.cause:
        facts["Begun by"] = report.cause
    if report.freeze_seconds is not None:
        facts["Nobody could write for"] = duration(report.freeze_seconds)
    if report.held:
        facts["Files were held for"] = ", ".join(map(duration, report.held))
    return facts | {"Target": about.target} | about.facts


def part(heading: str, body: str) -> Iterator[str]:
    """A part of a page, none where there is nothing in it."""
    if body:
        yield f"<h2>{heading}</h2>\n{body}"


def _phases(report: Report) -> str:
    rows = "\n".join(
        f'<tr><td>{text(phase.name)}</td><td class="n">{duration(phase.seconds)}</td>'
        f'<td class="n {"yes" if phase.seconds <= phase.budget_seconds else "no"}">'
        f"{duration(phase.budget_seconds)}</td></tr>"
        for phase in report.phases
    )
    header = '<th>phase</th><th class="n">took</th><th class="n">of at most</th>'
    return grid(header, rows) if rows else ""


def gates_grid(gates: Iterable[Gate]) -> str:
    """Gates with what was found, and what to do."""
    rows = "\n".join(
        f'<tr><td class="{"yes" if gate.passed else "no"}">{"pass" if gate.passed else "FAIL"}</td>'
        f"<td>{text(gate.name)}</td><td>{'<br>'.join(map(text, gate.evidence)) or NONE}</td>"
        f"<td>{text(gate.remedy)}</td></tr>"
        for gate in gates
    )
    return grid("<th></th><th>gate</th><th>found</th><th>to do</th>", rows) if rows else ""


def _positions(report: Report) -> str:
    return items(f"{name}: event {seq:,}" for name, seq in report.positions.items())


def _hooks(report: Report) -> Iterator[str]:
    for hook in report.hooks:
        ended = text(hook.problem or "done")
        tone = "no" if hook.problem else "yes"
        yield (
            f"<h3>{hook.on}: {code(hook.name)}</h3>"
            f'<p><span class="{tone}">{ended}</span>, {duration(hook.seconds)}</p>'
        )
        if hook.output.strip():
            yield f"<p>{code(hook.output.rstrip())}</p>"


def items(lines: Iterable[str]) -> str:
    """Lines as a list; "" without any."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""
