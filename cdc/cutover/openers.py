"""Who has the files open: the processes of this machine, as /proc shows them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Opener:
    """A process that has some of the files open."""

    pid: int
    command: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid}): {', '.join(self.files)}"


def openers(paths: Iterable[Path]) -> list[Opener]:
    """The processes but our own that have one of these files open, by their numbers.

    Those of other users are seen only by root. A service that opens the file anew for each
    statement is seen only by chance.
    """
    wanted = {path.resolve(): path.name for path in paths}
    found = []
    for directory in PROC.iterdir():
        if directory.name.isdecimal() and int(directory.name) != os.getpid():
            files = tuple(sorted({wanted[f] for f in _open_files(directory) if f in wanted}))
            if files:
                found.append(Opener(int(directory.name), _command(directory), files))
    return sorted(found, key=lambda opener: opener.pid)


def _open_files(process: Path) -> Iterator[Path]:
    try:
        links = list((process / "fd").iterdir())
    except OSError:  # it is another user's, or has ended
        return
    for link in links:
        try:
            yield Path(os.readlink(link))  # noqa: PTH115  (what it says, not what it leads to)
        except OSError:  # closed in the meantime
            continue


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return "a process that has ended"
    return words.decode("utf-8", "replace")[:200] or "a process without a name"
