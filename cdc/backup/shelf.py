"""The directory in which backups lie side by side, named for the moment at which each was begun.

One that is being made is called `….unfinished`, and so is one that is being deleted: whatever is
called so, and is not under the hands of a running command, is rubbish.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cdc import durable, flock
from cdc.backup import manifest
from cdc.errors import BackupError

UNFINISHED: Final = ".unfinished"
STAMP: Final = "%Y-%m-%dT%H-%M-%SZ"

ATTEMPTS_SECONDS: Final = (0.0, *[0.05] * 20)
"""What a command that was killed had just started has the lock until it runs."""


class Shelf:
    """The backups of one directory, which is made where there is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from changing anything here. Raises BackupError where one does."""
        try:
            # The rows of both sides will lie here, for nobody else to see.
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.directory / ".lock").open("a", encoding="utf-8")
        except OSError as error:
            raise BackupError(
                f"{self.directory} cannot be written ({error.strerror}).",
                hint="Let this user write there, or give another --directory.",
            ) from error
        with lock:
            if not flock.taken(lock.fileno(), ATTEMPTS_SECONDS):
                raise BackupError(
                    f"Another backup is being made in {self.directory}.",
                    hint="Wait until it has ended.",
                )
            yield

    def backups(self) -> list[Path]:
        """Those that are complete, oldest first. Raises BackupError for a folder of others."""
        try:
            if not self.directory.is_dir():
                return []
            return sorted(
                each
                for each in self.directory.iterdir()
                if not each.name.endswith(UNFINISHED) and (each / manifest.FILE).is_file()
            )
        except OSError as error:
            raise BackupError(
                f"The backups in {self.directory} cannot be looked at: {error}.",
                hint="Run cdc as the user that makes them.",
            ) from error

    def find(self, name: str) -> Path:
        """The backup of that name, or the newest for "latest". Raises BackupError."""
        found = self.backups()
        if name == "latest" and found:
            return found[-1]
        for backup in found:
            if backup.name == name:
                return backup
        there = ", ".join(each.name for each in found) or "none"
        raise BackupError(
            f"There is no backup {name!r} in {self.directory}. There are: {there}.",
            hint="cdc backup makes one.",
        )

    def sweep(self) -> list[str]:
        """Delete what killed commands have left; while nobody else is here. Their names."""
        rubbish = sorted(self.directory.glob(f"*{UNFINISHED}"))
        for each in rubbish:
            shutil.rmtree(each)
        return [each.name for each in rubbish]

    def begin(self) -> Path:
        """A new folder, for a backup that is begun now."""
        stamp = datetime.now(UTC).strftime(STAMP)
        names = (stamp if n == 1 else f"{stamp}-{n}" for n in range(1, 1000))
        name = next(name for name in names if not (self.directory / name).exists())
        folder = self.directory / f"{name}{UNFINISHED}"
        folder.mkdir(mode=0o700)
        return folder

    def finish(self, folder: Path) -> Path:
        """Give a backup that is complete its name."""
        durable.sync(folder)
        finished = folder.with_name(folder.name.removesuffix(UNFINISHED))
        durable.rename(folder, finished)
        return finished

    def keep(self, newest: int) -> list[str]:
        """Delete all but the newest so many backups, 0 for none of them; their names.

        Raises BackupError where one cannot be deleted.
        """
        expired = self.backups()[:-newest] if newest else []
        for each in expired:
            rubbish = each.with_name(each.name + UNFINISHED)
            try:
                durable.rename(each, rubbish)
                shutil.rmtree(rubbish)
            except OSError as error:
                raise BackupError(
                    f"The new backup is made, but the old one {each} cannot be deleted: {error}.",
                    hint="Delete it by hand.",
                ) from error
        return [each.name for each in expired]
