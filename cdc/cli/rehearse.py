"""`cdc rehearse`: the cutover and the way back on copies, and the freeze to expect."""

import typer

from cdc.cli.cutover import HtmlOption
from cdc.cli.options import ConfigOption, JsonOption, load_config, target_dsn
from cdc.cli.output import put_json, tell
from cdc.cli.page import Circumstances, check_place, write_page
from cdc.cli.rehearse_html import as_html
from cdc.cli.rehearse_report import as_json, print_rehearsal
from cdc.postgres.connection import Target
from cdc.rehearsal.play import Play
from cdc.stop import Stop


def rehearse(
    config: ConfigOption = None, html: HtmlOption = None, json: JsonOption = False
) -> None:
    """Cut over and roll back on copies of the files and a scratch database, several times.

    The real system goes on, and nothing of it is changed; what is written to it meanwhile is
    written to the copies, too, so that they are as busy. The same code runs as in the real thing.
    Exit code 0 when the copies switched and came back proven, 1 when they did not, 3 when it could
    not be rehearsed.
    """
    loaded = load_config(config)
    if html is not None:
        check_place(html)
    stop = Stop()
    stop.ask_on_signals()
    dsn = target_dsn(loaded)
    with Target(dsn, max_connections=loaded.postgres.max_connections) as target:
        about = Circumstances.of(loaded, target)
        outcome = Play(loaded, target, dsn, stop, _tell).run()
    if html is not None:
        write_page(html, as_html(outcome, about))
    put_json(as_json(outcome)) if json else print_rehearsal(outcome)
    raise typer.Exit(outcome.exit_code)


def _tell(words: str) -> None:
    tell(f"… {words}")
