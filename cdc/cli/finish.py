"""`cdc finish`: the way back is given up, and PostgreSQL is the master for good."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cdc.cli.cutover import HtmlOption, YesOption, confirm
from cdc.cli.cutover_html import as_html
from cdc.cli.cutover_progress import CutoverProgress
from cdc.cli.cutover_report import print_report, report_as_json
from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import DATA, ERRORS, duration, put_json
from cdc.cli.page import Circumstances, check_place, write_page
from cdc.cutover.end import Ending, Finish, hours_left
from cdc.cutover.intent import local_journal
from cdc.stop import interruptible


def finish(
    config: ConfigOption = None,
    *,
    yes: YesOption = False,
    abandon: Annotated[
        bool,
        typer.Option(
            "--abandon",
            help="Go through with it although SQLite does not have all that PostgreSQL has.",
        ),
    ] = False,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """End the move: no way back any more, and PostgreSQL free of cdc's guards, queue and triggers.

    Possible from the cutover on, also before rollback_hours are over. SQLite must have all that
    was written to PostgreSQL: the daemon is running, and both sides are proven equal now. The files
    stay frozen as they are then, the event store stays, and a running daemon ends. Exit code 0 when
    that is done, or was before, 1 when it is not, 3 when that could not be told. Run again, it ends
    what was begun.
    """
    loaded = load_config(config)
    if html is not None:
        check_place(html)
    with open_target(loaded) as target:
        left = hours_left(loaded, target)
        confirm(_question(left, abandon=abandon), yes=yes or left is None)
        with (
            interruptible(),
            local_journal(loaded) as journal,
            CutoverProgress(ERRORS, live=ERRORS.is_terminal) as progress,
        ):
            run = Finish(loaded, target, journal, abandon=abandon, tell=progress.tell)
            progress.watch(run.report)
            report = run.run()
    if json:
        put_json(report_as_json(report) | _as_json(run.ending))
    else:
        print_report(report)
        for line in _in_words(run.ending):
            DATA.print(line, markup=False)
    if html is not None:
        about = Circumstances.without_target(loaded)
        write_page(html, as_html(report, about, _in_words(run.ending)))
    raise typer.Exit(report.exit_code)


def _question(left: float | None, *, abandon: bool) -> str:
    still = f" It is open for {duration(left * 3600)} more." if left else ""
    lost = " What SQLite does not have yet will be in PostgreSQL alone." if abandon else ""
    return f"Give up the way back to SQLite for good?{still}{lost}"


def _as_json(ending: Ending) -> dict[str, Any]:
    return {
        "finished_at": ending.at,
        "switched_at": ending.opened_at,
        "way_back_seconds": ending.open_seconds,
        "sources": [
            {"name": name, "batch": stand.batch, "last_batch_at": stand.at}
            for name, stand in ending.stands.items()
        ],
        "released": {
            "tables": [".".join(table) for table in ending.released.tables],
            "triggers": ending.released.triggers,
            "queue_entries": ending.released.entries,
        },
        "given_up": ending.given_up,
    }


def _in_words(ending: Ending) -> Iterator[str]:
    """How long there was a way back, what came back, and what is gone."""
    if ending.at is None:
        return
    lasted = "" if ending.open_seconds is None else f", open for {duration(ending.open_seconds)}"
    yield f"the way back ended at {ending.at:%Y-%m-%d %H:%M:%S} UTC{lasted}"
    for name, stand in ending.stands.items():
        last = f", the last one at {stand.at:%Y-%m-%d %H:%M:%S} UTC" if stand.at else ""
        yield f"  {name}: {stand.batch:,} batches came back{last}"
    done = ending.released
    if done.tables:
        names = ", ".join(".".join(table) for table in done.tables)
        yield f"dropped: {done.triggers} triggers of {names}; the queue"
    for each in ending.given_up:
        yield f"given up: {each}"
