"""The pieces of a restore: for the trial of a backup, and for the day on which it is needed."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

from cdc.backup.manifest import READ_BYTES, KeptSource, Manifest
from cdc.backup.progress import Progress
from cdc.errors import BackupDamaged, BackupError
from cdc.postgres import exported, restored, tools
from cdc.postgres.connection import Connection

UNFINISHED: Final = ".restoring"
"""At the end of a file's name while it is written."""


def put_file(folder: Path, source: KeptSource, place: Path, progress: Progress) -> None:
    """Write a source's file to a place where nothing is, and onto the disk.

    Raises BackupDamaged where it is not the one that the backup was made with.
    """
    digest = sha256()
    progress.begin(source.name, total=source.file.bytes, unit="bytes")
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (folder / source.file.name).open("rb") as kept, os.fdopen(descriptor, "wb") as file:
            while piece := kept.read(READ_BYTES):
                digest.update(piece)
                file.write(piece)
                progress.add(len(piece))
            file.flush()
            os.fchmod(file.fileno(), source.mode)
            os.fsync(file.fileno())
    except OSError as error:
        raise BackupError(
            f"{place} could not be written: {error.strerror}.",
            hint="See the disk and the rights of the directory.",
        ) from error
    if digest.hexdigest() != source.file.sha256:
        place.unlink()
        raise BackupDamaged(
            f"{folder / source.file.name} is not what was written.",
            hint="Take another backup, or a copy of this file from elsewhere.",
        )


def fill_database(
    folder: Path, kept: Manifest, dsn: str, server_version: int, tick: Callable[[], None]
) -> None:
    """Restore PostgreSQL's part into an empty database, all of it or nothing.

    Everything belongs to the role of the connection then. Raises TargetRefused.
    """
    tool = tools.find("pg_restore", max(kept.database.dump_version, server_version))
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner"]
    with tools.Running(tool, dsn, [*arguments, str(folder / kept.database.file.name)]) as running:
        running.wait(tick)


def compare_contents(conn: Connection, kept: Manifest) -> None:
    """Raise BackupError unless every table holds what it held in the moment of the backup."""
    found = exported.contents(conn)
    differing = sorted(
        name
        for name in found.keys() | kept.database.tables.keys()
        if name not in found
        or name not in kept.database.tables
        or (found[name].rows, found[name].digest)
        != (kept.database.tables[name].rows, kept.database.tables[name].digest)
    )
    if differing:
        raise BackupError(
            f"Restored, {', '.join(differing)} do not hold what they held in the backup's moment.",
            hint="See whether something else writes to that database, or changes rows as they are"
            " restored; otherwise the dump is not to be trusted.",
        )


def settle(conn: Connection, kept: Manifest) -> None:
    """Make the restored database one that goes on with the restored files."""
    restored.forget_before(conn, {source.name: source.position for source in kept.sources})
