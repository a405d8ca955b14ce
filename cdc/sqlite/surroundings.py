"""What around a SQLite file would hurt later: its owner, its disk, its file system."""

import os
import pwd
import shutil
from pathlib import Path
from typing import Final

from cdc.errors import SourceUnavailable
from cdc.sqlite.connection import SourceFile, look_at

NETWORK_FILE_SYSTEMS: Final = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.sshfs", "9p", "afs")
)
MOUNTS: Final = Path("/proc/mounts")


def check_owner(path: Path) -> None:
    """Refuse a file that is not there, or of another user.

    In WAL mode whoever opens the file first creates `-wal` and `-shm` with their own ownership: as
    root we would lock the services out of their own database.
    """
    owner = look_at(path).st_uid
    if owner != os.geteuid():
        name = user_name(owner)
        raise SourceUnavailable(
            f"{path} belongs to {name}, but cdc runs as {user_name(os.geteuid())}.",
            hint=f"Run cdc as the user of the services: sudo -u {name} cdc …",
        )


def user_name(uid: int) -> str:
    """The name of a user, or the number of one that has none, as in many a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def check_disk(path: Path, least_mb: int) -> None:
    """Refuse to add a changelog to a disk with less than `least_mb` MB free; 0 allows any."""
    free = free_mb(path)
    if free < least_mb:
        raise SourceUnavailable(
            f"The disk of {path} has {free} MB free; min_free_disk_mb asks for {least_mb}.",
            hint="Make room: while PostgreSQL is away the changelog grows with every write.",
        )


def free_mb(path: Path) -> int:
    """Free space of the file's disk, in MB. Raises SourceUnavailable where its folder is gone."""
    try:
        return shutil.disk_usage(path.parent).free // 1_000_000
    except OSError as error:
        raise SourceUnavailable(
            f"The disk of {path} cannot be looked at ({error.strerror}).",
            hint="Bring the folder of the file back.",
        ) from error


def check_file_system(file: SourceFile) -> None:
    """Refuse WAL mode on a network file system, where its shared memory does not work."""
    kind = _file_system(file.path)
    if kind in NETWORK_FILE_SYSTEMS and journal_mode(file) == "wal":
        raise SourceUnavailable(
            f"{file.path} is in WAL mode on a network file system ({kind}), which SQLite does not"
            " support across machines.",
            hint="Run cdc on the machine that has the disk, or set journal_mode = DELETE.",
        )


def journal_mode(file: SourceFile) -> str:
    """How the file's transactions are kept safe: `delete`, `wal` and others, in SQLite's words."""
    return str(file.query("PRAGMA journal_mode").get)


def _file_system(path: Path) -> str:
    """The type of the file system that holds `path`, "" where the system does not tell."""
    try:
        # A name may be no UTF-8, and hold spaces of every kind but the plain one.
        lines = os.fsdecode(MOUNTS.read_bytes()).split("\n")
    except OSError:
        return ""
    mounts = [line.split(" ")[1:3] for line in lines if line]
    folders = {str(path), *map(str, path.parents)}
    found = [(len(where), kind) for where, kind in mounts if where in folders]
    return max(found)[1] if found else ""
