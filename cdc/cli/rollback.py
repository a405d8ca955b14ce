"""`cdc rollback`: SQLite becomes the master again, with all that was written to PostgreSQL."""

from typing import Annotated

import typer

from cdc.cli.cutover import HtmlOption, YesOption, confirm, show
from cdc.cli.cutover_progress import CutoverProgress
from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import ERRORS, duration, tell
from cdc.cli.page import Circumstances, check_place
from cdc.config import Config
from cdc.cutover.back import Rollback
from cdc.cutover.intent import LocalJournal, local_journal
from cdc.cutover.loss import Loss, accept_loss
from cdc.cutover.phases import Aborted, Report
from cdc.cutover.records import records_of
from cdc.postgres.connection import Target
from cdc.stop import interruptible


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
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Go back to SQLite: close PostgreSQL, drain, prove, open the files.

    The daemon must be running. Any failure before the switch leaves PostgreSQL as master. Exit code
    0 when SQLite takes the writes and all that follows went well, 1 when it does not, or a hook
    behind the switch failed, 3 when that could not be told. Run again, it ends what was begun.
    """
    loaded = load_config(config)
    if html is not None:
        check_place(html)
    confirm("Give up what has not come back?" if loss else "Go back to SQLite now?", yes=yes)
    with (
        interruptible(),
        open_target(loaded) as target,
        local_journal(loaded) as journal,
        CutoverProgress(ERRORS, live=ERRORS.is_terminal) as progress,
    ):
        if loss:
            report = _without_postgres(loaded, target, journal)
        else:
            run = Rollback(loaded, target, journal, tell=progress.tell)
            progress.watch(run.report)
            report = run.run()
    show(report, Circumstances.without_target(loaded), html, json=json)


def _without_postgres(config: Config, target: Target, journal: LocalJournal) -> Report:
    report = Report("accept-loss", "loss")
    try:
        _tell_loss(accept_loss(config, target, journal, report))
    except Aborted as error:
        report.reason = error.line
    report.end()
    records_of(config).save(report)
    return report


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
