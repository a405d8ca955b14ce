"""The source's lock: a file beside the SQLite file that one process at a time holds.

It is a separate file because SQLite's own locks are POSIX locks on the database file, which any
`close()` of that file in this process would drop.
"""

import fcntl
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from cdc.errors import SourceHeld, SourceUnavailable
from cdc.sqlite.connection import look_at
from cdc.sqlite.surroundings import user_name

SUFFIX: Final = ".cdc-lock"
ATTEMPTS: Final = 10
ATTEMPT_SECONDS: Final = 0.05
"""Whoever only asks for the holder has the lock for an instant; so one refusal means nothing."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a source: `command` says as what, `since` is ISO time in UTC."""

    pid: int
    host: str
    user: str
    command: str
    target: str
    since: str

    def __str__(self) -> str:
        return (
            f"{self.command} (process {self.pid} of {self.user} on {self.host}, since {self.since},"
            f" feeding {self.target})"
        )


class SourceLock:
    """The held lock of one source. It ends with the process, however that ends."""

    def __init__(self, path: Path, descriptor: int, command: str, target: str) -> None:
        self._path = path
        self._descriptor = descriptor
        self._command = command
        self._target = target

    @classmethod
    def acquire(cls, database: Path, *, command: str, target: str) -> "SourceLock":
        """Take the lock. Raises SourceHeld, naming the holder, when another process has it."""
        path = lock_path(database)
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(ATTEMPT_SECONDS)
            lock = cls._try(path, command, target)
            if lock is not None:
                return lock
        raise SourceHeld(
            f"{database} is held by {holder(database) or 'another process'}.",
            hint="Stop that process first; only one may replicate a file.",
        )

    def keep(self) -> bool:
        """Take the lock again where its file is not at its place any more, because it was removed,
        or the folder moved and another one put there; whether that was so.

        Raises SourceHeld when another process was quicker; SourceUnavailable.
        """
        if self._is_in_place():
            return False
        database = self._path.with_name(self._path.name.removesuffix(SUFFIX))
        look_at(database)  # no lock is made where there is nothing to be locked
        again = self.acquire(database, command=self._command, target=self._target)
        os.close(self._descriptor)
        self._descriptor = again._descriptor  # noqa: SLF001  (the same class)
        return True

    def _is_in_place(self) -> bool:
        """Whether others who come for the lock find the one that is held."""
        try:
            return _is_at(self._path, self._descriptor)
        except OSError:
            return False

    @classmethod
    def _try(cls, path: Path, command: str, target: str) -> "SourceLock | None":
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SourceUnavailable(
                f"{path} cannot be written ({error.strerror}).",
                hint="Let this user write the folder of the SQLite file.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file between our open and our lock.
            if _is_at(path, descriptor):
                _describe(path, descriptor, command, target)
                return cls(path, descriptor, command, target)
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:
            os.close(descriptor)
            raise SourceUnavailable(
                f"{path} cannot be written ({error.strerror}).",
                hint="See the disk and the folder of the SQLite file.",
            ) from error
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Give the lock back; harmless when that is done already."""
        if self._descriptor >= 0:
            # The folder may be read-only by now; a lock that nobody has holds nothing.
            with suppress(OSError):
                if self._is_in_place():  # or it is another one's by now
                    self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file at `path` is the open one."""
    return os.path.samestat(os.fstat(descriptor), path.stat())


def _describe(path: Path, descriptor: int, command: str, target: str) -> None:
    """Write into the lock who holds it; where that fails, no lock is left at its path."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    mine = Holder(
        os.getpid(), socket.gethostname(), user_name(os.geteuid()), command, target, since
    )
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, orjson.dumps(mine), 0)
    except OSError:  # the disk is full
        with suppress(OSError):
            path.unlink()
        raise


def lock_path(database: Path) -> Path:
    """Where the lock of a SQLite file lies."""
    return database.with_name(database.name + SUFFIX)


def holder(database: Path) -> Holder | None:
    """Who holds a source at this moment, or None. Raises SourceUnavailable where its lock cannot be
    looked at.
    """
    path = lock_path(database)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 4096, 0)
            return Holder(**orjson.loads(text)) if text else None
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SourceUnavailable(
            f"{path} cannot be read ({error.strerror}).",
            hint="Let this user read it: run cdc as the user of the services.",
        ) from error
    return None
