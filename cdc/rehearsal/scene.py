"""Where a rehearsal takes place: a folder with copies of the files, and a database of its own.

Both have names of their own, so what a rehearsal that was killed has left is found, and removed, by
the next one.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from cdc.config import Config, HookConfig, SourceConfig
from cdc.cutover.intent import DIRECTORY
from cdc.errors import CdcError
from cdc.postgres import scratch
from cdc.postgres.connection import Target

FOLDER: Final = "rehearsal"
ENV_FILE: Final = "env"
PURPOSE: Final = "rehearsal"


@dataclass(frozen=True, slots=True)
class Scene:
    """`config` is that of the copies, and `dsn` leads to their database, whose name is `database`.
    `left` says what an earlier rehearsal had left behind.
    """

    config: Config
    dsn: str
    database: str
    left: list[str]


def folder_of(config: Config) -> Path:
    """Where the copies of a configuration are made."""
    return config.path.parent / DIRECTORY / FOLDER


@contextmanager
def scene(config: Config, target: Target, dsn: str) -> Iterator[Scene]:
    """The folder and the database, which are gone again behind the block.

    `dsn` is that of `target`. Raises TargetError, also where another rehearsal is under way;
    CdcError where the folder cannot be written.
    """
    folder = folder_of(config)
    with target.lease() as conn:
        scratch.check_right(conn)
        database = scratch.name_for(conn, PURPOSE)
    # A connection of its own, which says for as long as it is there that a rehearsal is under way.
    with (
        Target(dsn, max_connections=1) as own,
        own.lease() as alone,
        scratch.alone(alone, PURPOSE),
    ):
        left = _clear(target, database, folder)
        try:
            _make(config, folder)
            with target.lease() as conn:
                scratch.create(conn, database)
            yield Scene(
                copied(config, folder, database), scratch.dsn_of(dsn, database), database, left
            )
        finally:
            _clear(target, database, folder)


def copied(config: Config, folder: Path, database: str) -> Config:
    """The configuration of the copies: everything is as it is, but nothing is where it is."""
    env_file = config.cutover.env_file and ENV_FILE
    return replace(
        config,
        path=folder / config.path.name,
        sources=tuple(_copied(source, folder) for source in config.sources),
        archive=replace(config.archive, enabled=False, prune="never"),
        # The rehearsal proves every row itself, again and again; nobody else needs to.
        verify=replace(config.verify, watch_hours=0.0),
        # What PostgreSQL will lack is found in the real system; here it is no reason to end. Nor
        # does anybody but the rehearsal go back.
        cutover=replace(
            config.cutover, env_file=env_file, accepted=("*",), automatic_rollback=False
        ),
        hooks=tuple(_hook(config, hook, database) for hook in config.hooks if hook.rehearse),
    )


def _copied(source: SourceConfig, folder: Path) -> SourceConfig:
    # Tables that were made by hand are not in the database of the rehearsal.
    tables = {name: replace(table, existing=False) for name, table in source.tables.items()}
    return replace(source, path=folder / source.name / source.path.name, tables=tables)


def _hook(config: Config, hook: HookConfig, database: str) -> HookConfig:
    """A hook that finds its program from the folder of the copies, and knows what it is for."""
    program, *arguments = hook.command
    if "/" in program:
        program = str(config.path.parent / program)
    command = ("env", f"CDC_REHEARSAL={database}", program, *arguments)
    return replace(hook, command=command)


def _make(config: Config, folder: Path) -> None:
    try:
        for source in config.sources:
            (folder / source.name).mkdir(parents=True)
        if config.env_file is not None:
            shutil.copy2(config.env_file, folder / ENV_FILE)
    except OSError as error:
        raise CdcError(
            f"{folder} cannot be made: {error}.", hint="The copies of a rehearsal are made there."
        ) from error


def _clear(target: Target, database: str, folder: Path) -> list[str]:
    """Remove both; what was there."""
    found = []
    with target.lease() as conn:
        if scratch.drop(conn, database):
            found.append(f"the database {database}")
    if folder.exists():
        shutil.rmtree(folder)
        found.append(str(folder))
    return found
