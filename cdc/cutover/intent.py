"""The local journal beside the configuration: one run at a time, and what it is about to do.

Files may be sealed from the moment at which the intent is on the disk until it is gone again. So
whoever finds one, and cannot ask PostgreSQL, must leave everything as it is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cdc import flock
from cdc.config import Config
from cdc.errors import CdcError
from cdc.postgres.switches import Direction

DIRECTORY: Final = ".cdc"
INTENT: Final = "cutover.json"
LOCK: Final = "cutover.lock"

ATTEMPTS_SECONDS: Final = (0.0, 0.02, 0.05, 0.1, 0.2)
"""The pauses before each attempt to have the lock."""


class CutoverBusy(CdcError):
    """Another cutover or rollback of this configuration is under way."""


class IntentUnreadable(CdcError):
    """The local journal cannot be read or written."""


class Intent(msgspec.Struct, frozen=True):
    """What a run is about to do: seal the files (forward), or open them again (back).

    `epoch` is the gate's before the run, `at` is ISO time.
    """

    run: str
    direction: Direction
    epoch: int
    at: str


@dataclass(frozen=True, slots=True)
class LocalJournal:
    """The directory of the local journal, held by this process."""

    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / INTENT

    def read(self) -> Intent | None:
        """The intent of a run that has not come to its end; None without one."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Intent)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise IntentUnreadable(
                f"{self.path} cannot be read: {error}.",
                hint="It says what an interrupted cutover was about to do. cdc status shows who is"
                " master; move the file away only when you know that.",
            ) from error

    def write(self, run: str, direction: Direction, epoch: int) -> None:
        """Record an intent; on the disk when this returns."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        fresh = self.path.with_suffix(".new")
        try:
            with fresh.open("wb") as out:
                out.write(msgspec.json.encode(Intent(run, direction, epoch, now)))
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self.path)
            self._sync()
        except OSError as error:
            raise IntentUnreadable(
                f"{self.path} cannot be written: {error}.", hint="Look at the disk and its rights."
            ) from error

    def clear(self) -> None:
        """Forget the intent: both sides are as the run has left them for good."""
        try:
            self.path.unlink(missing_ok=True)
            self._sync()
        except OSError as error:
            raise IntentUnreadable(
                f"{self.path} cannot be removed: {error}.", hint="Look at the disk and its rights."
            ) from error

    def _sync(self) -> None:
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def local_journal(config: Config) -> Iterator[LocalJournal]:
    """The local journal, for the one process that may use it now. Raises CutoverBusy.

    The daemon has the lock for an instant when it looks whether a command is alive; so one refusal
    means nothing.
    """
    directory = config.path.parent / DIRECTORY
    try:
        directory.mkdir(exist_ok=True)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise IntentUnreadable(
            f"{directory} cannot be written: {error}.", hint="The cutover keeps its journal there."
        ) from error
    try:
        if not flock.taken(descriptor, ATTEMPTS_SECONDS):
            raise CutoverBusy(
                "Another cutover or rollback is under way.", hint="Wait for its end; cdc status."
            )
        yield LocalJournal(directory)
    finally:
        os.close(descriptor)
