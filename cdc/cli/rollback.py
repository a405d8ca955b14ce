"""`cdc rollback`: SQLite becomes the master again, with all that was written to PostgreSQL."""

from typing import Annotated

import typer

from cdc.cli.cutover import YesOption, confirm, tell_phase
from cdc.cli.cutover_report import print_report, report_as_json
from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import duration, put_json, tell
from cdc.cutover.back import Rollback
from cdc.cutover.intent import local_journal
from cdc.cutover.loss import Loss, accept_loss
from cdc.cutover.phases import Aborted, Report
from cdc.cutover.records import records_of


def rollback(
    config: ConfigOption = None,
    *,
    yes: YesOption = False,
    loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="PostgreSQL is gone for good: open SQLite with what had come back by then.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Go back to SQLite: close PostgreSQL, drain, prove, open the files.

    The daemon must be running. Any failure before the switch leaves PostgreSQL as master. Exit code
    0 when SQLite takes the writes and all that follows went well, 1 when it does not, or a hook
    behind the switch failed, 3 when that could not be told. Run again, it ends what was begun.
    """
    loaded = load_config(config)
    confirm("Give up what has not come back?" if loss else "Go back to SQLite now?", yes=yes)
    with open_target(loaded) as target, local_journal(loaded) as journal:
        if loss:
            report = Report("accept-loss", "loss")
            try:
                _tell_loss(accept_loss(loaded, target, journal, report))
            except Aborted as error:
                report.reason = error.line
            records_of(loaded).save(report)
        else:
            report = Rollback(loaded, target, journal, tell=tell_phase).run()
    put_json(report_as_json(report)) if json else print_report(report)
    raise typer.Exit(report.exit_code)


def _tell_loss(loss: Loss) -> None:
    if loss.last_at is None or loss.age_seconds is None:
        tell("Nothing had come back from PostgreSQL: SQLite is as it was at the switch.")
        return
    tell(
        f"The last rows came from PostgreSQL at {loss.last_at:%Y-%m-%d %H:%M:%S} UTC,"
        f" {duration(loss.age_seconds)} ago. What was written there later is not in SQLite."
    )
    for name, batch in loss.batches.items():
        tell(f"  {name}: reverse batch {batch}")
