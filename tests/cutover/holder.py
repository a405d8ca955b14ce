"""A process that holds files, seals them, and dies at a step of its own choosing by kill -9.

`python holder.py STEP FILE…`; STEP is `taken`, `frozen`, `flushed`, `one committed`, `sealed`, or
`random`, which seals and thaws until somebody kills it.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

from cdc.errors import SourceBusy
from cdc.sqlite import freeze, hold
from cdc.sqlite.connection import SourceFile


def _die_at(step: str, now: str) -> None:
    if step == now:
        os.kill(os.getpid(), signal.SIGKILL)


def _commit_one(step: str) -> None:
    """Let the first COMMIT pass, and end there."""
    numbers = count()
    commit = hold._commit

    def counted(file: SourceFile) -> None:
        if next(numbers) == 0:
            commit(file)
            _die_at(step, "one committed")
        while True:  # the end comes from the thread that commits
            signal.pause()

    if step == "one committed":
        hold._commit = counted


def _seal(step: str, paths: list[Path]) -> None:
    with hold.Hold(paths, limit_seconds=30.0) as held:  # its own end is not the subject
        held.take()
        _die_at(step, "taken")
        held.freeze("the test")
        _die_at(step, "frozen")
        held.seal(lambda: _die_at(step, "flushed"))
    _die_at(step, "sealed")


def _main() -> None:
    step, *names = sys.argv[1:]
    paths = [Path(name) for name in names]
    _commit_one(step)
    while step == "random":
        try:
            _seal(step, paths)
        except SourceBusy:
            continue
        for path in paths:
            with SourceFile(path) as file:
                freeze.thaw(file)
    _seal(step, paths)


if __name__ == "__main__":
    _main()
