"""When a service ends: a signal, a deadline, or the death of whoever started it.

And when it begins again: SIGHUP asks for that, as it does of many a daemon.
"""

import os
import select
import signal
import time
from typing import Final

_CHUNK: Final = 4096


class Stop:
    """Set by SIGTERM or SIGINT, by a deadline, and by the end of standard input if so wished.

    Everything is waited for in one `select`. A thread and an Event would not do: a signal handler
    that sets an Event on which its own thread is about to wait can lock up.
    """

    def __init__(self, *, seconds: float | None = None, watch_stdin: bool = False) -> None:
        """`seconds` from now is the deadline, None for none. `watch_stdin` takes standard input
        for a pipe whose other end nobody closes before the service shall end."""
        self._requested = False
        self._again = False
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._stdin = 0 if watch_stdin else None
        self._wakeup, wakes = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wakes, False)
        # Without the pipe a signal just before select() would be noticed only after it.
        signal.set_wakeup_fd(wakes)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)

    def begin(self) -> None:
        """What was asked for before this is heard; from now on asking again counts again."""
        self._again = False

    def wait(self, seconds: float) -> bool:
        """Sleep so long (0: only look), less where there is something to heed.

        True: leave what you are at, because the service ends or begins again.
        """
        wakes = time.monotonic() + seconds
        while not self._heeded():
            left = max(0.0, self._until(wakes) - time.monotonic())
            self._listen(left)
            if time.monotonic() >= wakes:
                break
        return self._heeded()

    @property
    def ended(self) -> bool:
        """Whether the service shall end."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return self._requested or late

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._requested = True

    def _on_hangup(self, _number: int, _frame: object) -> None:
        self._again = True

    def _heeded(self) -> bool:
        return self.ended or self._again

    def _until(self, wakes: float) -> float:
        return wakes if self._deadline is None else min(wakes, self._deadline)

    def _listen(self, seconds: float) -> None:
        watched = [self._wakeup] if self._stdin is None else [self._wakeup, self._stdin]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._wakeup in ready:
            os.read(self._wakeup, _CHUNK)
        if self._stdin is not None and self._stdin in ready and not os.read(self._stdin, _CHUNK):
            self._requested = True
