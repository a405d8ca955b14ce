"""`cdc uninstall`: take the triggers, and all else that is ours, out of the SQLite files."""

from typing import Annotated

import typer

from cdc.cli.install import selected
from cdc.cli.options import ConfigOption, SourceOption, load_config
from cdc.cli.output import tell
from cdc.config import SourceConfig
from cdc.errors import ConfigError
from cdc.sqlite import capture, introspect, surroundings
from cdc.sqlite.connection import SourceFile, check_is_file
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

    The target keeps its tables. With --table the rest stays captured; the next `cdc run` captures
    the table again, and copies it, unless the configuration excludes it.
    """
    loaded = load_config(config)
    sources = selected(loaded, source)
    if table is not None and len(sources) > 1:
        raise ConfigError(
            "--table needs --source: there are several sources.",
            hint=f"The sources are {', '.join(s.name for s in sources)}.",
        )
    for each in sources:
        check_is_file(each.path)
        surroundings.check_owner(each.path)
        lock = SourceLock.acquire(each.path, command="cdc uninstall", target="no target")
        try:
            _uninstall(each, table)
        finally:
            lock.release()


def _uninstall(source: SourceConfig, table: str | None) -> None:
    with SourceFile(source.path) as file:
        if table is not None:
            with file.reading():
                names = {name.lower(): name for name in introspect.table_names(file)}
            if table.lower() not in names:
                raise ConfigError(
                    f"{source.path} has no table {table!r}.",
                    hint=f"Its tables are {', '.join(names.values())}.",
                )
            table = names[table.lower()]
        ended = capture.uninstall(file, None if table is None else [table])
    what = f"no longer captured: {', '.join(ended)}." if ended else "nothing was captured."
    tell(f"{source.name}: {what}")
