"""`cdc freeze`: the write lock of the SQLite files, alone."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from cdc.cli.install import selected
from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config
from cdc.cli.output import put_json, tell, tell_error
from cdc.config import SourceConfig
from cdc.errors import CdcError, ConfigError
from cdc.sqlite import freeze as files
from cdc.sqlite import surroundings
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.freeze import Freeze

REASON: Final = "by order of the operator; cdc thaw lets writes in again"


def freeze(
    config: ConfigOption = None,
    source: SourceOption = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="What the services are told that try to write.")
    ] = REASON,
    json: JsonOption = False,
) -> None:
    """Have SQLite refuse every write to the captured tables, until `cdc thaw`.

    It holds for every process, and survives restarts. Reading goes on. Files that are frozen
    already stay as they are. DDL is not held back, nor are tables that are not captured.
    """
    try:
        files.check_reason(reason)
    except ValueError as error:
        raise ConfigError(f"--reason: {error}.") from error
    sources = selected(load_config(config), source)
    report(sources, lambda file: files.freeze(file, reason), as_json=json)


def report(
    sources: tuple[SourceConfig, ...], change: Callable[[SourceFile], bool], *, as_json: bool
) -> None:
    """Freeze or thaw each source, whatever becomes of the others, and say how each stands.

    Exits with the code of the last error, if there was one.
    """
    code = 0
    reports = []
    for source in sources:
        stands: dict[str, Any] = {"name": source.name, "error": None}
        try:
            changed, found = _change(source, change)
        except CdcError as error:
            code = error.exit_code
            tell_error(error, traceback=False)
            stands["error"] = str(error)
        else:
            stands |= {"changed": changed} | freeze_as_json(found)
            if not as_json:
                tell(f"{source.name}: {_words(changed, found)}")
        reports.append(stands)
    if as_json:
        put_json({"sources": reports})
    raise typer.Exit(code)


def freeze_as_json(found: Freeze | None) -> dict[str, Any]:
    """The freeze of a file, as every report tells it."""
    return {
        "frozen": found is not None,
        "since": None if found is None else found.since.isoformat(),
        "reason": None if found is None else found.reason,
        "tables": [] if found is None else found.tables,
        "writable": [] if found is None else found.writable,
    }


def _change(
    source: SourceConfig, change: Callable[[SourceFile], bool]
) -> tuple[bool, Freeze | None]:
    surroundings.check_owner(source.path)
    with SourceFile(source.path) as file:
        changed = change(file)
        with file.reading():
            return changed, files.read(file)


def _words(changed: bool, found: Freeze | None) -> str:
    if found is None:
        return "takes writes again." if changed else "was not frozen."
    since = f"{found.since:%Y-%m-%d %H:%M:%S} UTC"
    now = "frozen" if changed else "was frozen already"
    return f"{now}, since {since}: {found.reason} ({', '.join(found.tables)})"
