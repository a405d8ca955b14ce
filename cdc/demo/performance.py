"""What the demo does, without a word about it: the daemon beside it, the commands, the waiting."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from statistics import quantiles
from types import TracebackType
from typing import IO, Final, Self

from cdc.config import Config
from cdc.demo.fleet import Fleet
from cdc.errors import CdcError, SourceBusy
from cdc.pipeline.daemon import Daemon
from cdc.pipeline.lag import measure
from cdc.pipeline.progress import SourceProgress, SourceState
from cdc.postgres.connection import Target
from cdc.stop import Stop

LOOK_SECONDS: Final = 0.2

PATIENCE_SECONDS: Final = 60.0
"""For what should happen in a moment."""

GRACE_SECONDS: Final = 20.0
"""How long a command has to end once the demo is stopped."""

_OURS: Final = ("CDC_POSTGRES_DSN", "CDC_CONFIG")
"""Not for the commands of the demo: they use the demo's server, whatever the operator has set."""


class Stopped(CdcError):
    """The demo was stopped before its end."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__("The demo was stopped before its end.")


def check(stop: Stop) -> None:
    """Raise Stopped where that was asked for."""
    if stop.asked:
        raise Stopped


class CommandFailed(CdcError):
    """A command of the demo has not done what it should."""

    exit_code = 1


class Stage:
    """The running system: the services, and the daemon, which lives in a thread of this process so
    that it can never outlive it.
    """

    def __init__(self, config: Config, target: Target, fleet: Fleet, stop: Stop) -> None:
        self._config = config
        self._target = target
        self._fleet = fleet
        self._stop = stop
        self._daemon = Daemon(config, target, stop)
        self._thread = threading.Thread(target=self._run, name="cdc-daemon")
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        """Start the daemon. Raises CdcError."""
        check(self._stop)
        try:
            self._daemon.open()
        except CdcError as error:
            if self._stop.asked:
                raise Stopped from error
            raise
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.ask()
        self._thread.join()

    @property
    def sources(self) -> list[SourceProgress]:
        """What the daemon is doing."""
        return self._daemon.progress

    def watch(self, seconds: float, state: SourceState, show: Callable[[], None]) -> None:
        """Let time pass, once every source is in a state. Raises Stopped, or the daemon's error."""
        self._until(lambda: all(source.state is state for source in self.sources), show)
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() >= end, show, patience=seconds + PATIENCE_SECONDS)

    def drain(self) -> None:
        """Wait until nothing is on its way to the other side any more."""
        self._until(self._drained, lambda: None)

    def run(self, command: Sequence[str], output: IO[bytes] | None = None) -> int:
        """Run a command to its end; its exit code. `output` takes what it prints, if there is one.

        Raises Stopped where the demo is stopped meanwhile; the command has ended then, too.
        """
        process = subprocess.Popen(  # noqa: S603  (commands of the demo's own, and no shell)
            command,
            env={name: value for name, value in os.environ.items() if name not in _OURS},
            stdin=subprocess.DEVNULL,
            stdout=output,
            # Ctrl-C is for the demo, which tells its commands.
            process_group=0,
        )
        try:
            while True:
                try:
                    return process.wait(LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    self._guard()
        finally:
            _end(process)

    def _until(
        self,
        condition: Callable[[], bool],
        show: Callable[[], None],
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        end = time.monotonic() + patience
        while not condition():
            self._guard()
            if (failed := self._fleet.failed()) or time.monotonic() > end:
                self._fleet.stop()  # says what became of one that has ended by itself
                raise CommandFailed(
                    f"The demo waits in vain; ended: {', '.join(failed) or 'none'}."
                )
            show()
            self._stop.wait(LOOK_SECONDS)
        show()

    def _drained(self) -> bool:
        try:
            return all(lag.lag_events == 0 for lag in measure(self._config, self._target))
        except SourceBusy:  # at this moment: it is asked again
            return False

    def _guard(self) -> None:
        """Raise what has ended the daemon, or Stopped."""
        if self._stop.asked:
            self._thread.join()
            raise self._error or Stopped()

    def _run(self) -> None:
        try:
            self._daemon.run()
        except BaseException as error:  # noqa: BLE001  (raised in the thread that looks after this)
            self._error = error
        finally:
            self._stop.ask()


def _end(process: subprocess.Popen[bytes]) -> None:
    """See that a command has ended: asked to, and killed where it does not listen.

    By SIGTERM: SIGINT would have one that is only just starting print a traceback.
    """
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def percentiles(delays: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile, in the unit of `delays`; both 0 when there are none.

    >>> percentiles([3.0])
    (3.0, 3.0)
    """
    if len(delays) < 2:
        return (delays[0], delays[0]) if delays else (0.0, 0.0)
    cuts = quantiles(delays, n=100, method="inclusive")
    return cuts[49], cuts[98]
