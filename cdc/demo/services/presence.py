"""The file by which others find a running service: its process, and the side it works on.

    4711 postgresql 2

says that process 4711 works on PostgreSQL, and has begun for the second time. The service holds a
lock on the file: where nobody does, what it says is about a process that is gone.
"""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

SUFFIX: Final = ".pid"


@dataclass(frozen=True, slots=True)
class Present:
    """A running service. `beginnings` counts how often it has read its environment."""

    service: str
    pid: int
    engine: str
    beginnings: int


class Presence:
    """The file of one service, for as long as it runs."""

    def __init__(self, directory: Path, service: str) -> None:
        self._path = directory / f"{service}{SUFFIX}"
        self._beginnings = 0
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # Whoever just looks at a file that was left behind lets go of it at once.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, 0)

    def tell(self, engine: str) -> None:
        """The service has begun to work on this side."""
        self._beginnings += 1
        text = f"{os.getpid()} {engine} {self._beginnings}\n".encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def present(directory: Path) -> Iterator[Present]:
    """The services that run in a directory, and have begun their work."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if found := look(path):
            yield found


def look(path: Path) -> Present | None:
    """What a file says of a service that runs; None where none does, or has only just started."""
    try:
        with path.open(encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                words = file.read().split()
            else:
                return None
    except FileNotFoundError:
        return None
    if len(words) != 3:
        return None
    return Present(path.name.removesuffix(SUFFIX), int(words[0]), words[1], int(words[2]))
