"""Processes beside the rehearsal's own: they end with it, however that ends."""

import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

from cdc.errors import CdcError
from cdc.stop import Stop

STOP_SECONDS: Final = 30.0
"""For a companion to end what it is at."""


@dataclass(frozen=True, slots=True)
class Failed:
    """How a companion ended, where it could not go on."""

    message: str


class Companion:
    """A process that runs `work(stop, *arguments)`, whose result is what `stop` returns.

    What it is given goes through a pipe, so a password among it is in no list of processes. The
    pipe is also how it learns that the rehearsal is over, or was killed. A context.
    """

    def __init__(self, work: Callable[..., object], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(theirs, work, *arguments), daemon=True, name="cdc-rehearsal"
        )
        self._process.start()
        theirs.close()
        self._result: object = None

    def check(self) -> None:
        """Raise CdcError where it has ended although nobody asked for that."""
        if not self._process.is_alive():
            self._take()
            raise CdcError(
                f"A process of the rehearsal has ended with exit code {self._process.exitcode}.",
                hint="Nothing of the real system was touched. Look at its log, and try again.",
            )
        if self._pipe.poll():
            self._take()

    def stop(self) -> Any:
        """Have it end; what came of it, None where it had to be killed. Raises CdcError."""
        if self._process.is_alive():
            if not self._pipe.closed and self._result is None:
                self._send_stop()
                self._process.join(STOP_SECONDS)
            if self._process.is_alive():
                self._process.kill()
        self._process.join()
        if not self._pipe.closed:
            if self._result is None:
                self._take()
            self._pipe.close()
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def _send_stop(self) -> None:
        try:
            self._pipe.send(None)
        except (BrokenPipeError, OSError):  # it is ending by itself
            return

    def _take(self) -> None:
        """What it has sent, if it has; an error of its own is raised."""
        try:
            found = self._pipe.recv() if self._pipe.poll() else None
        except (EOFError, OSError):
            return
        if isinstance(found, Failed):
            raise CdcError(found.message)
        self._result = found


def _run(pipe: Connection, work: Callable[..., object], *arguments: object) -> None:
    """The companion's side."""
    # Ctrl-C reaches all processes of a terminal; this one hears of it by the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())
    stop = Stop()
    threading.Thread(target=_listen, args=(pipe, stop), daemon=True).start()
    try:
        pipe.send(work(stop, *arguments))
    except CdcError as error:
        pipe.send(Failed(error.line))
    except (BrokenPipeError, OSError):  # the rehearsal was killed
        return


def _listen(pipe: Connection, stop: Stop) -> None:
    with suppress(EOFError, OSError):  # the rehearsal was killed
        pipe.recv()
    stop.ask()
