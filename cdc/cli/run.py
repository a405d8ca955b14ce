"""`cdc run`: the daemon."""

import enum
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer

from cdc import logs
from cdc.cli.display import Display
from cdc.cli.options import ConfigOption, load_config, open_target
from cdc.cli.output import ERRORS, tell
from cdc.config import Config
from cdc.errors import CdcError, Finished
from cdc.logs import fields
from cdc.pipeline.daemon import Daemon
from cdc.stop import Stop

log = logging.getLogger(__name__)


class LogFormat(enum.StrEnum):
    """The values of --log-format."""

    TEXT = "text"
    JSON = "json"


def run(
    context: typer.Context,
    config: ConfigOption = None,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="End when every table is copied and every event so far is applied.",
        ),
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="How log lines look on standard error.")
    ] = LogFormat.TEXT,
) -> None:
    """Create the tables, copy what is there, and follow every change until told to stop.

    SIGTERM and Ctrl-C stop it cleanly at any moment; the next run goes on where this one ended.
    With --until-caught-up the exit code is 1 when a table waits for a decision: see `cdc status`.
    After `cdc finish` there is nothing to do: it says so, and the exit code is 0.
    """
    loaded = load_config(config)
    live = ERRORS.is_terminal and log_format is LogFormat.TEXT
    logs.configure(log_format.value, "debug" if context.obj else "info", ERRORS if live else None)
    stop = Stop()
    stop.ask_on_signals()
    try:
        with ExitStack() as stack:
            daemon = Daemon(loaded, stack.enter_context(open_target(loaded)), stop)
            if _opened(daemon, stop):
                beside = () if until_caught_up else (_watchman(loaded, stop, stack),)
                with Display(daemon.progress, ERRORS, live=live) as display:
                    daemon.run(until_caught_up=until_caught_up, show=display.show, beside=beside)
            stopped = [table for source in daemon.progress for table in source.stopped]
    except Finished as error:
        _tell_finished(error, log_format)
        raise typer.Exit(0) from error
    except CdcError as error:
        if log_format is LogFormat.TEXT:
            raise
        _log_failure(error)
        raise typer.Exit(error.exit_code) from error
    if until_caught_up and stopped:
        raise typer.Exit(1)


def _watchman(config: Config, stop: Stop, stack: ExitStack) -> Callable[[], None]:
    """What a daemon runs beside its sources, with connections of its own."""
    from cdc.cutover.watchman import Watchman

    return Watchman(config, stack.enter_context(open_target(config)), stop).run


def _opened(daemon: Daemon, stop: Stop) -> bool:
    """Open the daemon; False where it was asked to stop while it waited for something."""
    try:
        daemon.open()
    except CdcError:
        if not stop.asked:
            raise
        return False
    return True


def _tell_finished(error: Finished, log_format: LogFormat) -> None:
    """Tell that nothing is left to do; not by an exit code at which a service is started again."""
    if log_format is LogFormat.TEXT:
        tell(error.line)
    else:
        log.info("%s", error.line, extra=fields("finished"))


def _log_failure(error: CdcError) -> None:
    """Tell whoever reads JSON lines, in one of them, why the command ends."""
    log.error("%s", error.line, extra=fields("failed"))
