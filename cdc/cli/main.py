"""The commands put together, and every error turned into a message and an exit code."""

import sys
from typing import Annotated, Final

import typer

from cdc import __version__
from cdc.cli import demo, init, install, lag, plan, quarantine, run, status, uninstall
from cdc.cli.output import ERRORS, tell_error
from cdc.errors import CdcError

INTERRUPTED: Final = 130
FAILED: Final = 3

app = typer.Typer(
    name="cdc",
    help="Move a live SQLite system to PostgreSQL without stopping it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 yes or done; 1 the answer is no; 2 wrong usage or configuration;"
    " 3 a database could not be used, or an outcome is in doubt.",
)
app.command("init")(init.init)
app.command("plan")(plan.plan)
app.command("install")(install.install)
app.command("uninstall")(uninstall.uninstall)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("lag")(lag.lag)
app.add_typer(quarantine.app)
app.command("demo")(demo.demo)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cdc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and debug logging.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    context.obj = debug


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(arguments, standalone_mode=False, prog_name="cdc")
    except typer.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except CdcError as error:
        tell_error(error, traceback="--debug" in arguments)
        code = error.exit_code
    except Exception as error:  # noqa: BLE001  (no traceback reaches who did not ask for it)
        code = _explain(error, traceback="--debug" in arguments)
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception, *, traceback: bool) -> int:
    show = getattr(error, "show", None)
    if show is not None:  # a click exception: wrong usage
        show(file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    if traceback:
        ERRORS.print_exception()
    tell_error(
        CdcError(
            f"Internal error: {type(error).__name__}: {error}",
            hint="Please report it, with the output of the same command after `cdc --debug`.",
        ),
        traceback=False,
    )
    return FAILED
