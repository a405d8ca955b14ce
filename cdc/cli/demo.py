"""`cdc demo`: a small trading system, moved live before your eyes, and back, and there again."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cdc import logs
from cdc.cli.demo_story import Story
from cdc.cli.options import EMBEDDED_DIRECTORY, open_target
from cdc.cli.output import ERRORS
from cdc.config import Config, load
from cdc.demo import premises
from cdc.demo.fleet import Fleet
from cdc.demo.performance import Stage, check
from cdc.errors import ConfigError
from cdc.postgres import embedded
from cdc.stop import Stop


def demo(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="A directory for the demo's files; made anew.")
    ] = Path("demo"),
    seconds: Annotated[
        float,
        typer.Option(min=1, metavar="S", help="How long to watch the services after each step."),
    ] = 8.0,
    pace: Annotated[
        float,
        typer.Option(min=0.1, metavar="F", help="How much busier than life they write."),
    ] = 1.0,
) -> None:
    """Move a small trading system live: seven SQLite files, four services that write to them.

    Copies them, follows every change, proves both sides equal, cuts over to PostgreSQL while the
    services go on, goes back with all that they wrote there, and cuts over again; in the end every
    service looks for each of its writes, and every row is compared. Needs no server: the embedded
    one is used. Exit code 0 when no write was lost and all rows are equal.
    """
    logs.configure("text", "debug" if context.obj else "warning", ERRORS)
    stop = Stop()
    stop.ask_on_signals()
    config = _prepare(directory)
    check(stop)
    with ExitStack() as undo:
        target = undo.enter_context(open_target(config))
        premises.invite(directory, embedded.start(directory / EMBEDDED_DIRECTORY))
        fleet = undo.enter_context(Fleet.start(directory / premises.FILES, pace=pace))
        stage = undo.enter_context(Stage(config, target, fleet, stop))
        equal = Story(directory, target, stage, fleet, seconds).tell()
    raise typer.Exit(0 if equal else 1)


def _prepare(directory: Path) -> Config:
    """Make the demo's directory with all that belongs there; an old demo makes way."""
    if directory.exists():
        if not premises.is_demo(directory):
            raise ConfigError(
                f"{directory} exists and is not the directory of a demo.",
                hint="Name another one with --directory.",
            )
        embedded.remove(directory / EMBEDDED_DIRECTORY)
        shutil.rmtree(directory)
    premises.furnish(directory)
    # The demo never touches a server that CDC_POSTGRES_DSN may name.
    return load(directory / premises.CONFIG, environ={})
