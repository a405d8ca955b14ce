"""`cdc backup`: both sides, at moments that belong together, tried before it is called a backup."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.backup.making import CONNECTIONS, BackupMaking, Made
from cdc.backup.manifest import Manifest, read
from cdc.backup.shelf import Shelf
from cdc.cli.backup_progress import BackupProgress, megabytes
from cdc.cli.options import ConfigOption, JsonOption, load_config, target_dsn
from cdc.cli.output import DATA, ERRORS, duration, put_json, tell
from cdc.config import Config
from cdc.errors import BackupDamaged
from cdc.postgres.connection import Target
from cdc.stop import Stop


def backup(
    config: ConfigOption = None,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="This source's file only; may be repeated."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", metavar="DIR", help="Where backups lie; without it [backup] directory."
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="Show the backups that there are, and make none.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Back both sides up while everything goes on, and prove that the backup can be restored.

    PostgreSQL is dumped at one moment, and each SQLite file copied in short reads, with the events
    since that moment. Then all is restored into scratch databases and compared there, row by row.

    Exit code 0 when the backup was proven, 1 when the two sides differ in it, 3 when it could not
    be made. Once a new one is proven, old ones beyond [backup] keep are deleted.
    """
    loaded = load_config(config)
    shelf = Shelf(loaded.backup_directory if directory is None else directory.absolute())
    if show:
        _show(shelf, json=json)
        return
    made = _make(loaded, shelf, source or [])
    put_json(_as_json(made)) if json else _print(made)
    raise typer.Exit(0 if made.kept.trial and made.kept.trial.equal else 1)


def _make(config: Config, shelf: Shelf, names: list[str]) -> Made:
    sources = [config.source(name) for name in dict.fromkeys(names)] or list(config.sources)
    stop = Stop()
    stop.ask_on_signals()
    dsn = target_dsn(config)
    with Target(dsn, max_connections=max(CONNECTIONS, config.postgres.max_connections)) as target:
        making = BackupMaking(config, dsn, target, sources, shelf, stop)
        with BackupProgress(ERRORS, making.progress, live=ERRORS.is_terminal):
            return making.run()


def _print(made: Made) -> None:
    for name in made.swept:
        tell(f"Deleted {name}, which a killed backup has left.")
    kept, trial = made.kept, made.kept.trial
    assert trial is not None
    took = duration((kept.ended_at - kept.began_at).total_seconds())
    DATA.print(f"{made.folder}", markup=False, style="bold")
    DATA.print(f"  {megabytes(kept.bytes)}, made in {took}, tried in {duration(trial.seconds)}")
    DATA.print(
        f"  PostgreSQL {kept.database.name}: {len(kept.database.tables)} tables", markup=False
    )
    for source in kept.sources:
        rows = sum(source.rows.values())
        DATA.print(
            f"  {source.name}: {rows:,} rows at event {source.end}, PostgreSQL at"
            f" {source.position}",
            markup=False,
        )
        for table in source.unsettled:
            tell(
                f"  {source.name}.{table} is not captured and never stood still: each part of it is"
                " as it was when it was read."
            )
    if kept.database.master:
        tell("PostgreSQL is master: the backup is of PostgreSQL alone.")
    for name, reason in trial.not_proven.items():
        tell(f"  not proven: {name}: {reason}")
    if trial.equal:
        tell(f"Restored on trial, {trial.tables} tables are equal, {trial.rows:,} rows.")
    else:
        tell("Restored on trial, the two sides differ: this is no backup. It stays until the next.")
    for name in made.expired:
        tell(f"Deleted the old backup {name}.")


def _as_json(made: Made) -> dict[str, Any]:
    return _kept_as_json(made.folder, made.kept) | {"expired": made.expired}


def _kept_as_json(folder: Path, kept: Manifest) -> dict[str, Any]:
    trial = kept.trial
    return {
        "backup": str(folder),
        "good": trial is not None and trial.equal,
        "began_at": kept.began_at,
        "ended_at": kept.ended_at,
        "bytes": kept.bytes,
        "database": kept.database.name,
        "server_version": kept.database.server_version,
        "postgres_is_master": kept.database.master,
        "sources": [
            {
                "name": source.name,
                "path": source.path,
                "bytes": source.file.bytes,
                "position": source.position,
                "end": source.end,
                "rows": sum(source.rows.values()),
                "unsettled": list(source.unsettled),
            }
            for source in kept.sources
        ],
        "trial": None
        if trial is None
        else {
            "equal": trial.equal,
            "seconds": trial.seconds,
            "tables": trial.tables,
            "rows": trial.rows,
            "not_proven": trial.not_proven,
        },
    }


def _show(shelf: Shelf, *, json: bool) -> None:
    found: list[dict[str, Any]] = []
    for folder in shelf.backups():
        try:
            found.append(_kept_as_json(folder, read(folder)))
        except BackupDamaged as error:
            found.append({"backup": str(folder), "good": False, "problem": error.line})
    if json:
        put_json({"backups": found})
        return
    for each in found:
        if "problem" in each:
            DATA.print(f"{each['backup']}  damaged: {each['problem']}", markup=False)
        else:
            names = ", ".join(source["name"] for source in each["sources"]) or "PostgreSQL alone"
            DATA.print(f"{each['backup']}  {megabytes(each['bytes'])}  {names}", markup=False)
    if not found:
        tell(f"There is no backup in {shelf.directory}.")
