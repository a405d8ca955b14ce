"""The peak of a process's memory: of its resident set, in megabytes.

It is asked of the process while it lives. What the system tells of one that has ended, `ru_maxrss`,
outlives an exec: a command would be said to have needed all that the benches had before it.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final


def peak(pid: int | str = "self") -> float:
    """The peak so far of a process, by default of this one."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, value = line.split(":", 1)
        if name == "VmHWM":
            return int(value.split()[0]) * 1024 / 1e6
    raise RuntimeError("the system does not tell the peak of the resident set")


_TOLD: Final = """
import sys
from bench.peak import peak
from cdc.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stderr.write(f"\\n{peak()}")
"""
"""Runs a command of cdc, and says last of all what its process has needed by then."""


def peak_of_command(*arguments: str | Path) -> float:
    """The peak of a command of cdc that exits with 0. Raises with its last words otherwise."""
    command = [sys.executable, "-c", _TOLD, *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"cdc {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
    return float(done.stderr.splitlines()[-1])
