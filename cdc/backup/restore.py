"""A backup restored: its files into a directory, PostgreSQL's part into a database of its own.

What is there already is never written over. Asked to take its place, a restore moves it aside,
under another name, and so can be undone.
"""

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cdc import durable
from cdc.backup import manifest, restoring, room
from cdc.backup.manifest import KeptSource, Manifest
from cdc.backup.progress import Progress
from cdc.cutover.openers import openers
from cdc.errors import BackupError, SourceHeld
from cdc.postgres import place
from cdc.postgres.connection import Target
from cdc.sqlite.lock import holder
from cdc.stop import Stop

BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite has beside a database, and with it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Where everything is now. `aside` are the names of what was there before."""

    kept: Manifest
    files: dict[str, Path]
    database: str
    aside: list[str]


class Restore:
    """Restores one backup; `look` tells what stands in the way before `run` begins."""

    def __init__(self, folder: Path, into: Path, dsn: str, stop: Stop) -> None:
        check_into(into)
        self._folder = folder
        self._into = into
        self._stop = stop
        self._kept = manifest.read(folder)
        self._place = place.look(dsn)
        self._stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.progress = Progress()
        self.files = {s.name: into / name for s, name in _named(self._kept)}

    def look(self) -> list[str]:
        """What is there already and would be moved aside, for people.

        Raises CdcError where a restore could not even begin.
        """
        for path in self.files.values():
            held = holder(path) if path.exists() else None
            if held is not None:
                raise SourceHeld(f"{path} is held by {held}.", hint="Stop that process first.")
        missing = place.missing_roles(self._place, self._kept.database.roles)
        if missing:
            raise BackupError(
                f"The server lacks roles to which something was granted: {', '.join(missing)}.",
                hint="Make them first: " + " ".join(f'CREATE ROLE "{name}";' for name in missing),
            )
        there = [str(path) for path in self._in_the_way()]
        if self._place.standing == "taken":
            there.append(f"the database {self._place.name}, which is not empty")
        return there

    def run(self) -> Restored:
        """Check every file of the backup, then restore all. Raises CdcError, or KeyboardInterrupt
        where it was stopped; then everything is where it was, but that a database which was empty
        may have been filled.
        """
        try:
            return self._run()
        except OSError as error:
            raise BackupError(
                f"The backup could not be restored: {error}.",
                hint=f"See the disk, and that this user may write in {self._into}.",
            ) from error

    def _run(self) -> Restored:
        self._check_files()
        room.check({self._into: sum(source.file.bytes for source in self._kept.sources)})
        self._into.mkdir(parents=True, exist_ok=True)
        drafts = self._write_drafts()
        try:
            aside = self._put_in_place(drafts)
        except BaseException:
            for draft in drafts.values():
                with suppress(OSError):
                    draft.unlink()
            raise
        return Restored(self._kept, self.files, self._place.name, aside)

    def _in_the_way(self) -> list[Path]:
        paths = [
            path.with_name(path.name + beside) for path in self.files.values() for beside in BESIDE
        ]
        return [path for path in paths if path.exists()]

    def _check_files(self) -> None:
        total = self._kept.bytes
        self.progress.begin("checking the backup", total=total, unit="bytes")
        for kept in self._kept.files:
            manifest.check(self._folder, kept, self._advance)

    def _advance(self, more: int) -> None:
        self._check_stop()
        self.progress.add(more)

    def _check_stop(self) -> None:
        if self._stop.asked:
            raise KeyboardInterrupt

    def _write_drafts(self) -> dict[str, Path]:
        """Write the files under names of their own, in the place of those of a killed restore."""
        in_use = openers(self.files.values())
        if in_use:
            raise BackupError(
                f"In use: {'; '.join(map(str, in_use))}.", hint="Stop these processes first."
            )
        drafts: dict[str, Path] = {}
        for source in self._kept.sources:
            path = self.files[source.name]
            draft = path.with_name(path.name + restoring.UNFINISHED)
            draft.unlink(missing_ok=True)
            restoring.put_file(self._folder, source, draft, self.progress)
            drafts[source.name] = draft
        return drafts

    def _put_in_place(self, drafts: Mapping[str, Path]) -> list[str]:
        """Restore PostgreSQL's part, then give the files their names; or nothing of both. What was
        moved aside is returned.
        """
        name, standing = self._place.name, self._place.standing
        away = f"{name}_before_{self._stamp.lower()}"
        if standing == "taken":
            place.rename(self._place, name, away)
        try:
            if standing != "empty":
                place.make(self._place)
            self._fill_empty()
            aside = self._name_files(drafts)
        except BaseException:
            if standing != "empty":
                place.remove(self._place)
            if standing == "taken":
                place.rename(self._place, away, name)
            raise
        return [f"database {away}", *aside] if standing == "taken" else aside

    def _name_files(self, drafts: Mapping[str, Path]) -> list[str]:
        """Move aside what is in the way of the files, and let them take its place; or neither."""
        suffix = f".before-restore-{self._stamp}"
        away = [(path, path.with_name(path.name + suffix)) for path in self._in_the_way()]
        moves = [*away, *((draft, self.files[name]) for name, draft in drafts.items())]
        try:
            for old, new in moves:
                durable.rename(old, new)
        except BaseException:
            for old, new in reversed(moves):
                if not old.exists():
                    with suppress(OSError):  # the error that is raised already tells of the disk
                        new.rename(old)
            raise
        return [str(new) for _, new in away]

    def _fill_empty(self) -> None:
        self.progress.begin("restoring PostgreSQL")
        restoring.fill_database(
            self._folder,
            self._kept,
            self._place.dsn,
            self._place.server_version,
            self._check_stop,
        )
        self.progress.begin("comparing PostgreSQL with the backup")
        with Target(self._place.dsn, max_connections=1) as target, target.lease() as conn:
            restoring.compare_contents(conn, self._kept)
            restoring.settle(conn, self._kept)


def check_into(into: Path) -> None:
    """Raise BackupError unless it is a directory to write to, or one can be made there."""
    there = next(each for each in (into, *into.parents) if os.path.lexists(each))
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise BackupError(
            f"{there} is not a directory that this user may write to.",
            hint="Give another directory with --into.",
        )


def _named(kept: Manifest) -> list[tuple[KeptSource, str]]:
    """Each source with its file's own name, or where two would be the same with the source's."""
    names = Counter(Path(source.path).name for source in kept.sources)
    return [
        (source, name if names[name] == 1 else f"{source.name}.db")
        for source in kept.sources
        for name in [Path(source.path).name]
    ]
