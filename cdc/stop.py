"""Stopping cleanly: one flag that every wait listens to, or the interrupt of Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LOOKS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.02)
"""Pauses in seconds, 50 ms in all, after which to look again when an alarm brought no news: in
SQLite's WAL mode with synchronous=FULL the file is written before the commit can be seen."""


class Stop:
    """Asked for once, by a signal or by whoever has had enough; asking again changes nothing."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._listeners: list[Callable[[], None]] = []

    def ask(self) -> None:
        """Ask everything to end at its next safe point."""
        self.event.set()
        for listener in self._listeners:
            listener()

    def on_ask(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when the stop is asked for, to end a wait for something else."""
        self._listeners.append(listener)

    @property
    def asked(self) -> bool:
        return self.event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, but not beyond being asked to stop; returns whether it was."""
        return self.event.wait(seconds)

    def ask_on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for the stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        # In a thread of its own: the code that the signal interrupts may hold the event's lock.
        threading.Thread(target=self.ask, name="cdc-stop", daemon=True).start()


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and the end of the terminal raise KeyboardInterrupt in the block, once:
    who goes back because of the first is not stopped in that by a second one. A signal that is
    ignored stays so, as SIGHUP under nohup. For the main thread.
    """
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    asked = False

    def interrupt(*_: Any) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise KeyboardInterrupt

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have an interrupt that comes in the block wait for its end: for what must be known once it is
    there. Harmless in other threads than the main one, which alone is ever interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    came: list[int] = []
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in came:
            signal.raise_signal(each)


class Alarm:
    """Wakes one waiting thread. A ring while nobody waits is kept for the next wait."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """End the wait of the other thread, or its next one."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, at most this long; returns whether it came."""
        rung = self._event.wait(seconds)
        self._event.clear()
        return rung
