"""`cdc restore`: a backup put back, beside what is there or, when asked, in its place."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.backup.restore import Restore, Restored, check_into
from cdc.backup.shelf import Shelf
from cdc.cli.backup_progress import BackupProgress
from cdc.cli.cutover import YesOption
from cdc.cli.options import EMBEDDED_DIRECTORY, ConfigOption, JsonOption, load_config
from cdc.cli.output import DATA, ERRORS, put_json, tell
from cdc.config import EMBEDDED
from cdc.errors import BackupError
from cdc.postgres import embedded
from cdc.stop import Stop


def restore(
    backup: Annotated[
        str,
        typer.Argument(
            metavar="BACKUP",
            help="The directory of a backup; or the name of one in [backup] directory, or latest.",
        ),
    ],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="Where the SQLite files are to lie.")
    ],
    dsn: Annotated[
        str,
        typer.Option(
            "--dsn",
            metavar="DSN",
            help="The database to restore PostgreSQL into: one that is empty, or not there yet;"
            ' or "embedded", for a server of its own in DIR.',
        ),
    ],
    config: ConfigOption = None,
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Restore a backup: its SQLite files into a directory, PostgreSQL's part into a database.

    Every file of the backup is checked first. What is there already is never written over: without
    --yes it is refused, with --yes it is moved aside under another name.

    Exit code 0 when all was restored, 3 when not; then everything is where it was.
    """
    stop = Stop()
    stop.ask_on_signals()
    place = Path(backup)
    is_place = os.path.isdir(backup)  # noqa: PTH112  (no error where it may not be looked at)
    folder = place if is_place else Shelf(load_config(config).backup_directory).find(backup)
    into = into.absolute()
    if dsn == EMBEDDED:
        check_into(into)  # before a server is made in it
        dsn = embedded.start(into / EMBEDDED_DIRECTORY)
    work = Restore(folder.absolute(), into, dsn, stop)
    there = work.look()
    if there and not yes:
        raise BackupError(
            f"There is something already: {', '.join(there)}.",
            hint="Name a new directory and a new database; or add --yes: then these are moved aside"
            " under another name, and nothing is lost.",
        )
    with BackupProgress(ERRORS, work.progress, live=ERRORS.is_terminal):
        restored = work.run()
    put_json(_as_json(folder, restored)) if json else _print(restored)


def _as_json(folder: Path, restored: Restored) -> dict[str, Any]:
    return {
        "backup": str(folder),
        "files": {name: str(path) for name, path in restored.files.items()},
        "database": restored.database,
        "aside": restored.aside,
        "positions": {source.name: source.position for source in restored.kept.sources},
    }


def _print(restored: Restored) -> None:
    for name, path in restored.files.items():
        DATA.print(f"{name}: {path}", markup=False)
    DATA.print(f"PostgreSQL: database {restored.database}", markup=False)
    for name in restored.aside:
        tell(f"What was there is now {name}.")
    if restored.kept.database.master:
        tell("PostgreSQL was master: the services work with this database, as it was.")
        return
    tell("Now, before any service writes to these files:")
    tell(
        "  1. in the configuration, set the paths and the dsn to these, and [archive] directory to"
    )
    tell("     a new one: the event store begins anew.")
    tell("  2. cdc run --until-caught-up   brings PostgreSQL to the moment of the files")
    tell("  3. cdc verify --full           proves it")
    tell("Then start cdc run and the services.")
