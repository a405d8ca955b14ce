"""Processes that a test has not started itself."""

import os
from pathlib import Path


def is_gone(pid: int) -> bool:
    """A process that nobody has waited for yet is gone as well."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def stands_still(pid: int) -> bool:
    """Whether all threads of a process have stopped, as some do a moment after the signal."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
