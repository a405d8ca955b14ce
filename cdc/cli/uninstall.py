"""`cdc uninstall`: take the triggers, and all else that is ours, out of the SQLite files."""

from typing import Annotated

import typer

from cdc.cli.install import refuse_several, selected, table_of
from cdc.cli.options import ConfigOption, SourceOption, load_config
from cdc.cli.output import tell
from cdc.config import SourceConfig
from cdc.sqlite import capture, direction, surroundings
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lock import SourceLock


def uninstall(
    config: ConfigOption = None,
    source: SourceOption = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="T", help="This table only; then name its source too, if several."),
    ] = None,
) -> None:
    """Remove the capture from the SQLite files, which are then as they were before.

    The target keeps its tables. With --table the rest stays captured, and a running daemon goes on
    without this table until `cdc install --table` takes it back.
    """
    loaded = load_config(config)
    sources = selected(loaded, source)
    if table is not None:
        refuse_several(sources)
    for each in sources:
        surroundings.check_owner(each.path)
        if table is not None:
            _uninstall(each, table)
            continue
        lock = SourceLock.acquire(each.path, command="cdc uninstall", target="no target")
        try:
            _uninstall(each, table)
        finally:
            lock.release()


def _uninstall(source: SourceConfig, table: str | None) -> None:
    with SourceFile(source.path) as file:
        table = None if table is None else table_of(file, table)
        with file.reading():
            stand = direction.read(file)
        ended = capture.uninstall(file, None if table is None else [table])
    if stand is not None:
        tell(
            f"{source.name}: PostgreSQL is the master for good. This file takes writes again, and"
            " nothing carries them there."
        )
    what = f"no longer captured: {', '.join(ended)}." if ended else "nothing was captured."
    tell(f"{source.name}: {what}")
