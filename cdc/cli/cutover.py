"""`cdc cutover`: PostgreSQL becomes the master, in about a second, or everything stays as it is."""

import sys
from typing import Annotated

import typer

from cdc.cli.cutover_report import gates_as_json, print_gates, print_report, report_as_json
from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import put_json, tell
from cdc.cutover import gates
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.errors import ConfigError

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")]


def cutover(
    config: ConfigOption = None,
    *,
    yes: YesOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the gates, and change nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Switch from SQLite to PostgreSQL: hold all files, drain, prove, seal, open PostgreSQL.

    The daemon must be running, and goes on: from then on it brings what is written to PostgreSQL
    back to SQLite. Any failure before the switch leaves the legacy system as it was. Exit code 0
    when PostgreSQL takes the writes and all that follows went well, 1 when it does not, or a hook
    behind the switch failed, 3 when that could not be told. Run again, it ends what was begun.
    """
    loaded = load_config(config)
    if not dry_run:
        confirm("Switch to PostgreSQL now?", yes=yes)
    with open_target(loaded) as target:
        if dry_run:
            found = gates.look(loaded, target)
            put_json(gates_as_json(found)) if json else print_gates(found)
            raise typer.Exit(0 if all(gate.passed for gate in found) else 1)
        with local_journal(loaded) as journal:
            report = Cutover(loaded, target, journal, tell=tell_phase).run()
    if json:
        put_json(report_as_json(report))
    else:
        if not all(gate.passed for gate in report.gates):
            print_gates(report.gates)
        print_report(report)
    raise typer.Exit(report.exit_code)


def tell_phase(words: str) -> None:
    """Say what begins now."""
    tell(f"… {words}")


def confirm(question: str, *, yes: bool) -> None:
    """Ask the operator, unless `yes`. Raises ConfigError where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("Nobody is there to be asked.", hint="Say --yes.")
    typer.confirm(question, abort=True, err=True)
