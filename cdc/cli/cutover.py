"""`cdc cutover`: PostgreSQL becomes the master, in about a second, or everything stays as it is."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.cutover_html import as_html
from cdc.cli.cutover_progress import CutoverProgress
from cdc.cli.cutover_report import gates_as_json, print_gates, print_report, report_as_json
from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import ERRORS, put_json
from cdc.cli.page import Circumstances, check_place, write_page
from cdc.config import Config
from cdc.cutover import gates
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.cutover.phases import Report
from cdc.cutover.records import records_of
from cdc.errors import ConfigError
from cdc.stop import interruptible

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the report as a page that can be kept."),
]


def cutover(
    config: ConfigOption = None,
    *,
    yes: YesOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the gates, and switch nothing.")
    ] = False,
    last: Annotated[
        bool, typer.Option("--last", help="Show the report of the last run, in either direction.")
    ] = False,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Switch from SQLite to PostgreSQL: hold all files, drain, prove, seal, open PostgreSQL.

    The daemon must be running, and goes on: from then on it brings what is written to PostgreSQL
    back to SQLite. Any failure before the switch leaves the legacy system as it was. Exit code 0
    when PostgreSQL takes the writes and all that follows went well, 1 when it does not, or a hook
    behind the switch failed, 3 when that could not be told. Run again, it ends what was begun.
    """
    loaded = load_config(config)
    if html is not None:
        check_place(html)
    if dry_run:
        _look(loaded, json=json)
    if last:
        show(_last(loaded), Circumstances.without_target(loaded), html, json=json)
    confirm("Switch to PostgreSQL now?", yes=yes)
    with (
        interruptible(),
        open_target(loaded) as target,
        local_journal(loaded) as journal,
        CutoverProgress(ERRORS, live=ERRORS.is_terminal) as progress,
    ):
        run = Cutover(loaded, target, journal, tell=progress.tell)
        progress.watch(run.report)
        report = run.run()
    show(report, Circumstances.without_target(loaded), html, json=json)


def show(report: Report, about: Circumstances, html: Path | None, *, json: bool) -> None:
    """Show a report, write its page, and leave with its exit code."""
    if json:
        put_json(report_as_json(report))
    else:
        if not all(gate.passed for gate in report.gates):
            print_gates(report.gates)
        print_report(report)
    if html is not None:
        write_page(html, as_html(report, about))
    raise typer.Exit(report.exit_code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask the operator, unless `yes`. Raises ConfigError where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("Nobody is there to be asked.", hint="Say --yes.")
    typer.confirm(question, abort=True, err=True)


def _look(config: Config, *, json: bool) -> None:
    with open_target(config) as target:
        found = gates.look(config, target)
    put_json(gates_as_json(found)) if json else print_gates(found)
    raise typer.Exit(0 if all(gate.passed for gate in found) else 1)


def _last(config: Config) -> Report:
    report = records_of(config).last()
    if report is None:
        raise ConfigError("There was no run of a cutover or rollback by this configuration yet.")
    return report
