"""The commands put together, and every error turned into a message and an exit code."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from cdc import __version__, garbage
from cdc.cli.output import ERRORS, tell_error
from cdc.errors import CdcError

INTERRUPTED: Final = 130
FAILED: Final = 3

COMMANDS: Final = (
    "init",
    "plan",
    "install",
    "uninstall",
    "run",
    "status",
    "lag",
    "verify",
    "freeze",
    "thaw",
    "rehearse",
    "cutover",
    "rollback",
    "health",
    "finish",
    "replay",
    "events",
    "history",
    "quarantine",
    "archive",
    "backup",
    "restore",
    "demo",
)
"""In the order of the help. Each is a module beside this one that holds a function of its name, or
an `app` with commands of its own."""


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """The command line, with the one command that these arguments name, or with all.

    Only what is wanted is imported: all together would take longer than `cdc lag` does.
    """
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
    app.callback()(_options)
    # No option in front of a command takes a value.
    named = next((word for word in arguments if not word.startswith("-")), None)
    for command in COMMANDS:
        if named not in COMMANDS or command == named:
            _add(app, command)
    return app


def _add(app: typer.Typer, command: str) -> None:
    module = import_module(f"cdc.cli.{command}")
    if hasattr(module, "app"):
        app.add_typer(module.app)
    else:
        app.command(command)(getattr(module, command))


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cdc {__version__}")
        raise typer.Exit


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
    garbage.collect_rarely()
    try:
        code = build_app(arguments)(arguments, standalone_mode=False, prog_name="cdc")
    except typer.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except CdcError as error:
        tell_error(error, traceback="--debug" in arguments)
        code = error.exit_code
    except Exception as error:  # noqa: BLE001  (no traceback reaches who did not ask for it)
        code = _explain(error, traceback="--debug" in arguments)
    garbage.keep_all()
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
