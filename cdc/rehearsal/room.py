"""The room that a rehearsal needs, estimated before anything is made."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc.config import Config
from cdc.errors import CdcError
from cdc.postgres import scratch
from cdc.postgres.connection import Target
from cdc.sqlite.connection import look_at

MB: Final = 1_000_000

COPY_FACTOR: Final = 1.5
"""A copy and what is recorded in it, as a multiple of the file."""

DATABASE_FACTOR: Final = 2.0
"""Tables and the log that PostgreSQL writes of them, as a multiple of the tables that are there."""

UNKNOWN_FACTOR: Final = 3.0
"""The same as a multiple of the file, where there are no tables yet."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one disk has to give: `needed` and `free` in MB; `free` None where nobody can know."""

    what: str
    needed_mb: int
    free_mb: int | None

    @property
    def enough(self) -> bool:
        return self.free_mb is None or self.needed_mb <= self.free_mb

    def __str__(self) -> str:
        free = "nobody can tell what is free" if self.free_mb is None else f"{self.free_mb:,} free"
        return f"{self.what}: {self.needed_mb:,} MB needed, {free}"


class NoRoom(CdcError):
    """A rehearsal would fill a disk."""


def look(config: Config, target: Target, folder: Path) -> list[Room]:
    """What is needed where; `folder` is the one in which the copies will be made, below an existing
    one.
    """
    files = sum(look_at(source.path).st_size for source in config.sources)
    with target.lease() as conn:
        tables = scratch.target_bytes(conn)
        directory = scratch.data_directory(conn)
    copies = _mb(files * COPY_FACTOR)
    database = _mb(max(tables * DATABASE_FACTOR, 0) or files * UNKNOWN_FACTOR)
    spare = config.replication.min_free_disk_mb
    if directory is not None and _device(directory) == _device(folder):
        return [Room("the copies and the database", copies + database + spare, _free(folder))]
    return [
        Room("the copies", copies + spare, _free(folder)),
        Room("the database", database + spare, _free(directory) if directory else None),
    ]


def check(rooms: Sequence[Room]) -> None:
    """Raise NoRoom where a disk has not enough of it."""
    lacking = [str(room) for room in rooms if not room.enough]
    if lacking:
        raise NoRoom(
            f"There is no room for a rehearsal. {'; '.join(lacking)}.",
            hint="Make room. min_free_disk_mb in [replication] counts as needed.",
        )


def elsewhere(config: Config, folder: Path) -> list[str]:
    """The sources whose files are on another disk than their copies will be."""
    here = _device(folder)
    return [source.name for source in config.sources if _device(source.path) != here]


def _mb(count: float) -> int:
    return round(count / MB) + 1


def _device(path: Path) -> int:
    return os.stat(_existing(path)).st_dev  # noqa: PTH116  (of any path)


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free // MB


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
