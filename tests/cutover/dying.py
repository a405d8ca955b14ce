"""A cutover, a rollback or its end, in which a process dies by kill -9 at a state that is given.

`python dying.py CONFIG cutover|rollback|finish STATE [PID]`: it kills itself, or the process PID
once.
STATE is one that `at` hears of, or falls between two of them: `one sealed` and `one given back`,
when the first of several files is. It reports its outcome.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cdc.config import load
from cdc.cutover import files
from cdc.cutover.back import Rollback
from cdc.cutover.end import Finish
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.postgres.connection import Target
from cdc.sqlite import hold


class Killer:
    """Kills, once, when the state is reached."""

    def __init__(self, state: str, pid: int) -> None:
        self._state = state
        self._pid = pid
        self._lock = threading.Lock()

    def __call__(self, state: str) -> None:
        with self._lock:
            if state == self._state:
                self._state = ""
                os.kill(self._pid, signal.SIGKILL)

    def after(self, state: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work; the state is reached when it is done, by the first of several threads."""
        lock = threading.Lock()

        def done(*arguments: object) -> Any:
            with lock:
                result = work(*arguments)
                self(state)
            return result

        return done


def _main() -> None:
    config, kind, state, *pids = sys.argv[1:]
    killer = Killer(state, int(pids[0]) if pids else os.getpid())
    hold._commit = killer.after("one sealed", hold._commit)
    files._give_back = killer.after("one given back", files._give_back)
    run = {"cutover": Cutover, "rollback": Rollback, "finish": Finish}[kind]
    loaded = load(Path(config), environ={})
    with Target(loaded.postgres.dsn) as target, local_journal(loaded) as journal:
        report = run(loaded, target, journal, at=killer).run()
    print(report.outcome, report.reason)  # noqa: T201  (its report)


if __name__ == "__main__":
    _main()
