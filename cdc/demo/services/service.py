"""What all services have in common: a command line, a timetable, and a report at the end.

A service works on the side that its environment file names. Asked by SIGHUP, it finishes what it is
at, reads that file again, and begins anew there: first of all it looks for everything that it was
ever told is written.
"""

import argparse
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from cdc.demo import files
from cdc.demo.environment import Environment
from cdc.demo.history import DEFAULT_SEED
from cdc.demo.market import OPENING_PRICE
from cdc.demo.services.desk import Desk, Tally
from cdc.demo.services.desks import desk_of
from cdc.demo.services.presence import Presence
from cdc.demo.services.sqlite_desk import DEFAULT_TIMEOUT_SECONDS
from cdc.demo.services.stop import Stop

_RETRY_SECONDS: Final = 0.5
"""The pause between two tries to prepare the files while they are locked."""

_CHECKS: Final = 20
"""So often a service that ends tries to look for what it has written, while the file is locked."""

_LATEST_PRICE: Final = "SELECT price FROM price_log ORDER BY timestamp DESC LIMIT 1"


@dataclass(slots=True)
class Task:
    """Something that is done again and again; `due` is on the monotonic clock."""

    every_seconds: float
    work: Callable[[], None]
    due: float = 0.0


class Service(ABC):
    """One service. `name` is the name of its module and stands in its report."""

    name: ClassVar[str]
    timeout_seconds: ClassVar[float] = DEFAULT_TIMEOUT_SECONDS

    def __init__(self, desk: Desk, seed: int, directory: Path) -> None:
        self.desk = desk
        self.seed = seed
        self._directory = directory

    @abstractmethod
    def prepare(self) -> None:
        """What the service does when it starts. Called again if the files were locked."""

    @abstractmethod
    def tasks(self) -> Iterable[Task]:
        """What it does from then on, with its pace of every day."""

    def chance(self, subject: str, *, after: object = "") -> Random:
        """A source of chance; `after`, something that grows with the file, keeps a service that
        is started again from inventing the same identifiers once more."""
        return Random(f"{self.seed}/{self.name}/{subject}/{after}")

    def trading_locked(self) -> bool:
        """Whether no order may be sent at the moment: a flag that counts from when it is set."""
        return Environment.read(self._directory).trading_locked

    def latest_price(self) -> float:
        """What Bitcoin costs, in dollars, from the price watcher's file."""
        rows = self.desk.read(files.PRICE_HISTORY, _LATEST_PRICE)
        return float(rows[0][0]) if rows else OPENING_PRICE


def serve(service_type: type[Service], argv: list[str] | None = None) -> int:
    """Run a service until it is told to stop, then print its report; the exit code is 0."""
    options = _parse(service_type, argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    stop = Stop(seconds=options.seconds, watch_stdin=options.watch_stdin)
    tally = Tally(service_type.name)
    with Presence(options.directory, service_type.name) as presence:
        while not stop.ended:
            stop.begin()
            patience = service_type.timeout_seconds
            with desk_of(options.directory, tally, timeout_seconds=patience) as desk:
                service = service_type(desk, options.seed, options.directory)
                if _begin(service, stop):
                    presence.tell(desk.engine)
                    _work(desk, list(service.tasks()), stop, pace=options.pace)
        with desk_of(options.directory, tally) as desk:
            _check(desk)
    print(tally.report(), flush=True)
    return 0


def _begin(service: Service, stop: Stop) -> bool:
    """Look at what is there, until it is not locked; whether that came to an end."""

    def begin() -> None:
        service.prepare()
        service.desk.check()

    begun = service.desk.attempt(begin)
    while not begun and not stop.wait(_RETRY_SECONDS):
        begun = service.desk.attempt(begin)
    return begun


def _check(desk: Desk) -> None:
    """Look for everything once more; an error ends the service, and says so in its log."""
    for _ in range(_CHECKS):
        if desk.attempt(desk.check):
            return
    desk.check()


def _work(desk: Desk, tasks: list[Task], stop: Stop, *, pace: float) -> None:
    """Do each task when it is due. One that falls behind is not made up for."""
    start = time.monotonic()
    for task in tasks:
        task.due = start
    pause = 0.0
    while not stop.wait(pause):
        task = min(tasks, key=lambda task: task.due)
        if (pause := task.due - time.monotonic()) > 0:
            continue
        pause = 0.0
        desk.attempt(task.work)
        period = task.every_seconds / pace
        task.due = max(task.due + period, time.monotonic())


def _parse(service_type: type[Service], argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {service_type.__module__}")
    parser.add_argument("directory", type=Path, help="where the seven files are")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--pace", type=_positive, default=1.0, help="factor on all rates")
    parser.add_argument("--seconds", type=_positive, help="stop by itself after so long")
    parser.add_argument(
        "--watch-stdin", action="store_true", help="stop when standard input is closed"
    )
    return parser.parse_args(argv)


def _positive(text: str) -> float:
    number = float(text)
    if not 0.0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number
