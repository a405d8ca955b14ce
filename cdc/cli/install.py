"""`cdc install`: the triggers in the SQLite files, alone."""

from typing import Annotated

import typer

from cdc.cli.options import ConfigOption, SourceOption, load_config
from cdc.cli.output import tell
from cdc.config import Config, SourceConfig
from cdc.errors import ConfigError
from cdc.sqlite import capture, introspect, released, surroundings
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lock import SourceLock, holder
from cdc.sqlite.mirrors import fill_mirrors
from cdc.sqlite.verification import Finding


def install(
    config: ConfigOption = None,
    source: SourceOption = None,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="T", help="Take back this table, which uninstall --table has released."
        ),
    ] = None,
) -> None:
    """Install the capture in the SQLite files; PostgreSQL is not needed yet.

    `cdc run` installs what is missing by itself, but for tables that were released.
    """
    loaded = load_config(config)
    sources = selected(loaded, source)
    if table is not None:
        refuse_several(sources)
    for each in sources:
        surroundings.check_owner(each.path)
        surroundings.check_disk(each.path, loaded.replication.min_free_disk_mb)
        if table is not None:
            _retake(each, table)
            if running := holder(each.path):
                tell(f"{each.name}: {table} is captured again by {running}.")
                continue
        lock = SourceLock.acquire(each.path, command="cdc install", target="no target")
        try:
            _install(each)
        finally:
            lock.release()


def selected(config: Config, name: str | None) -> tuple[SourceConfig, ...]:
    """The sources that a command is about."""
    return config.sources if name is None else (config.source(name),)


def refuse_several(sources: tuple[SourceConfig, ...]) -> None:
    """Raise ConfigError where one table is meant and its source is not named."""
    if len(sources) > 1:
        raise ConfigError(
            "--table needs --source: there are several sources.",
            hint=f"The sources are {', '.join(s.name for s in sources)}.",
        )


def table_of(file: SourceFile, table: str) -> str:
    """The name of a table as the file spells it; ConfigError where it has none of that name."""
    with file.reading():
        names = {name.lower(): name for name in introspect.table_names(file)}
    if table.lower() not in names:
        raise ConfigError(
            f"{file.path} has no table {table!r}.",
            hint=f"Its tables are {', '.join(names.values())}.",
        )
    return names[table.lower()]


def _retake(source: SourceConfig, table: str) -> None:
    with SourceFile(source.path) as file:
        capture.retake(file, table_of(file, table))


def _install(source: SourceConfig) -> None:
    with SourceFile(source.path) as file:
        with file.reading():
            surroundings.check_file_system(file)
            let_go = released.read(file)
            tables = [
                name
                for name in introspect.table_names(file)
                if source.captures(name) and name not in let_go
            ]
        found = capture.install(file, tables)
        fill_mirrors(file)
    changed = [name for name, finding in found.items() if finding is not Finding.INTACT]
    tell(
        f"{source.name}: {len(tables)} tables are captured"
        + (f"; installed or mended: {', '.join(changed)}." if changed else "; nothing to do.")
    )
