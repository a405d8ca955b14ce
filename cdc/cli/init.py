"""`cdc init`: look at SQLite files and write a configuration for them."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.options import ConfigOption
from cdc.cli.output import tell
from cdc.config import locate
from cdc.config.render import name_sources, render
from cdc.errors import ConfigError
from cdc.sqlite import introspect
from cdc.sqlite.connection import SourceFile


def init(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The SQLite files.")],
    dsn: Annotated[
        str, typer.Option(metavar="DSN", help='A libpq URL, or "embedded" for the server in cdc.')
    ] = "embedded",
    config: ConfigOption = None,
) -> None:
    """Look at the SQLite FILEs and write a commented configuration; nothing else is changed."""
    path = locate(config)
    if os.path.lexists(path):
        raise _taken(path)
    for file in files:
        _describe(file)
    sources = name_sources([file.resolve() for file in files])
    text = render([(name, _relative(file, path)) for name, file in sources], dsn)
    _write(path, text)
    option = "" if config is None else f" --config {path}"
    tell(f"Wrote {path}. Read it through, then: cdc run{option}")


def _taken(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} exists already.",
        hint="Edit it, remove it, or name another file with --config.",
    )


def _write(path: Path, text: str) -> None:
    """Write it where nothing is. Raises ConfigError; then nothing is left of it."""
    try:
        # It may hold a password.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{path} could not be written ({error.strerror}).",
        hint="Name a file in a folder that exists and that you may write to, with --config.",
    )


def _describe(path: Path) -> None:
    """Say what a file holds. Raises SourceUnavailable where it is no SQLite database."""
    with SourceFile(path) as file, file.reading():
        names = introspect.table_names(file)
        tell(f"{path}: {len(names)} tables: {', '.join(names) or 'none'}")
        for name in names:
            if introspect.source_table(file, name).table.rowid_key:
                tell(f"  {name} has no key: its rows will be told apart by their rowid.")
        for name, kind in introspect.uncaptured(file):
            what = "view" if kind == "view" else f"{kind} table"
            tell(f"  {name} is a {what} and is not captured.")


def _relative(file: Path, config: Path) -> Path:
    folder = config.resolve().parent
    return file.relative_to(folder) if file.is_relative_to(folder) else file
