"""`cdc demo`: a small trading system, replicated live before your eyes."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from cdc import logs
from cdc.cli.display import Display
from cdc.cli.options import EMBEDDED_DIRECTORY, open_target
from cdc.cli.output import DATA, ERRORS, duration, tell
from cdc.cli.verify_report import print_verdict
from cdc.config import Config, load
from cdc.demo.fleet import Fleet, ServiceReport, make_history
from cdc.demo.performance import Performance, percentiles
from cdc.errors import ConfigError
from cdc.pipeline.daemon import Daemon
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.stop import Stop
from cdc.postgres import embedded
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.resources import demo_config

FILES: Final = "rec_io"
"""The folder of the SQLite files, beside the demo's configuration."""


def demo(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="A directory for the demo's files; made anew.")
    ] = Path("demo"),
    seconds: Annotated[
        float, typer.Option(min=1, metavar="S", help="How long to follow the live changes.")
    ] = 20.0,
    pace: Annotated[
        float,
        typer.Option(min=0.1, metavar="F", help="How much busier than life they write."),
    ] = 1.0,
) -> None:
    """Replicate a small trading system live: seven SQLite files, four services that write to them.

    Makes the files with their history, starts the services, copies, follows the changes with the
    lag on display, and ends by comparing every row of both sides. Needs no server: the embedded one
    is used. Exit code 0 when all rows are equal.
    """
    logs.configure("text", "debug" if context.obj else "warning", ERRORS)
    config = _prepare(directory)
    stop = Stop()
    stop.ask_on_signals()
    tell(f"1. Seven SQLite files with their history lie in {directory / FILES}.")
    with ExitStack() as undo:
        target = undo.enter_context(open_target(config))
        fleet = undo.enter_context(Fleet.start(directory / FILES, pace=pace))
        tell("2. Four services write to them, as they do every day. PostgreSQL is running.")
        daemon = Daemon(config, target, stop)
        daemon.open()
        tell(f"3. Copying, then following every change for {duration(seconds)}:")
        display = undo.enter_context(Display(daemon.progress, ERRORS, live=ERRORS.is_terminal))
        performance = Performance(
            config=config,
            target=target,
            fleet=fleet,
            sources=daemon.progress,
            stop=stop,
            seconds=seconds,
        )

        def show() -> None:
            performance.look()
            display.show()

        daemon.run(show=show)
        if not performance.complete:
            tell("Stopped before its end.")
            raise typer.Exit(1)
        _print_services(performance.reports)
        _print_lag(daemon.progress)
        tell("4. The services have stopped, the last event is applied. Comparing every row:")
        verdict = prove(config, target, Request(full=True))
    print_verdict(verdict)
    if not verdict.converged:
        raise typer.Exit(1)
    tell(f"Every row is equal on both sides. Look around: cdc status -c {config.path}")


def _prepare(directory: Path) -> Config:
    """Make the demo's directory with its configuration and the files; an old demo makes way."""
    path = directory / "config.toml"
    if directory.exists():
        if not path.exists() or not (directory / FILES).is_dir():
            raise ConfigError(
                f"{directory} exists and is not the directory of a demo.",
                hint="Name another one with --directory.",
            )
        embedded.remove(directory / EMBEDDED_DIRECTORY)
        shutil.rmtree(directory)
    (directory / FILES).mkdir(parents=True)
    path.write_text(demo_config(), encoding="utf-8")
    make_history(directory / FILES)
    # The demo never touches a server that CDC_POSTGRES_DSN may name.
    return load(path, environ={})


def _print_services(reports: tuple[ServiceReport, ...]) -> None:
    table = _new_table("service", "writes", "slowest write", "database is locked")
    for report in reports:
        slowest = duration(report.slowest_ms / 1000)
        table.add_row(report.service, f"{report.writes:,}", slowest, str(report.locked))
    DATA.print(table)


def _print_lag(sources: list[SourceProgress]) -> None:
    table = _new_table("source", "events", "lag p50", "lag p99")
    for source in sources:
        median, high = percentiles(source.delays)
        table.add_row(source.name, f"{source.events:,}", duration(median), duration(high))
    DATA.print(table)


def _new_table(first: str, *others: str) -> Table:
    table = Table(first, box=None, pad_edge=False, header_style="bold")
    for name in others:
        table.add_column(name, justify="right")
    return table
