"""`cdc install`: the triggers in the SQLite files, alone."""

from cdc.cli.options import ConfigOption, SourceOption, load_config
from cdc.cli.output import tell
from cdc.config import Config, SourceConfig
from cdc.sqlite import capture, introspect, surroundings
from cdc.sqlite.connection import SourceFile, check_is_file
from cdc.sqlite.lock import SourceLock
from cdc.sqlite.mirrors import fill_mirrors
from cdc.sqlite.verification import Finding


def install(config: ConfigOption = None, source: SourceOption = None) -> None:
    """Install the capture in the SQLite files; PostgreSQL is not needed yet.

    `cdc run` installs what is missing by itself.
    """
    loaded = load_config(config)
    for each in selected(loaded, source):
        check_is_file(each.path)
        surroundings.check_owner(each.path)
        surroundings.check_disk(each.path, loaded.replication.min_free_disk_mb)
        lock = SourceLock.acquire(each.path, command="cdc install", target="no target")
        try:
            _install(each)
        finally:
            lock.release()


def selected(config: Config, name: str | None) -> tuple[SourceConfig, ...]:
    """The sources that a command is about."""
    return config.sources if name is None else (config.source(name),)


def _install(source: SourceConfig) -> None:
    with SourceFile(source.path) as file:
        with file.reading():
            surroundings.check_file_system(file)
            tables = [name for name in introspect.table_names(file) if source.captures(name)]
        found = capture.install(file, tables)
        fill_mirrors(file)
    changed = [name for name, finding in found.items() if finding is not Finding.INTACT]
    tell(
        f"{source.name}: {len(tables)} tables are captured"
        + (f"; installed or mended: {', '.join(changed)}." if changed else "; nothing to do.")
    )
