"""A cutover or a rollback that dies by kill -9 at a state of its own choosing.

`python dying.py CONFIG cutover|rollback STATE`
"""

import os
import signal
import sys
from pathlib import Path

from cdc.config import load
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.postgres.connection import Target


def _main() -> None:
    config = load(Path(sys.argv[1]), environ={})
    kind = {"cutover": Cutover, "rollback": Rollback}[sys.argv[2]]

    def at(state: str) -> None:
        if state == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

    with Target(config.postgres.dsn) as target, local_journal(config) as journal:
        print(kind(config, target, journal, at=at).run())  # noqa: T201  (its report)


if __name__ == "__main__":
    _main()
