"""What runs beside a rehearsal: the daemon of the copies, and who writes to them."""

import threading
from pathlib import Path
from typing import Final

from cdc.config import Config
from cdc.errors import CdcError, SourceBusy
from cdc.pipeline.daemon import Daemon
from cdc.postgres.connection import Target
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.reenactment import Load, Reenactment
from cdc.stop import Stop

POLL_SECONDS: Final = 0.01
"""Between two looks at a file to which nothing was written."""


def run_daemon(stop: Stop, config: Config, dsn: str) -> None:
    """`cdc run` for the copies."""
    with Target(dsn, max_connections=config.postgres.max_connections) as target:
        daemon = Daemon(config, target, stop)
        daemon.open()
        daemon.run()


def write(stop: Stop, pairs: list[tuple[str, Path, Path, int]], seconds: float) -> dict[str, Load]:
    """Write to each copy what the application writes to its file, until stopped.

    `pairs` are the source's name, the file, the copy, and the event of which the copy is. Each has
    a thread of its own, as each service has a process. Raises what kept one of them from going on.
    """
    found: dict[str, Load] = {}
    errors: list[CdcError] = []

    def one(name: str, real: Path, copy: Path, seq: int) -> None:
        try:
            found[name] = _write(stop, real, copy, seq, seconds)
        except CdcError as error:
            errors.append(error)
            stop.ask()

    threads = [threading.Thread(target=one, args=pair, name=f"cdc-{pair[0]}") for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


def _write(stop: Stop, real: Path, copy: Path, seq: int, seconds: float) -> Load:
    with SourceFile(real, only_look=True) as file, SourceFile(copy) as into:
        again = Reenactment(file, into, seq, seconds)
        while not stop.asked:
            try:
                worked = again.step(stop.wait)
            except SourceBusy:
                worked = False  # as any service that gives up no write: once more
            if not worked:
                stop.wait(POLL_SECONDS)
        return again.load
