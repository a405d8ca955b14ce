"""A second process beside this one, for what would keep Python busy for long.

Of all threads of a process only one at a time runs Python. What another process makes arrives as
bytes, which keeps this one busy for a moment only.
"""

import os
import pickle
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Generic, TypeVar, cast

from cdc import garbage

T = TypeVar("T")

END_SECONDS: Final = 2.0
"""How long a process may take to end behind its last word."""

PATIENCE_SECONDS: Final = 30.0
"""How long an item may take; then the process is ended, for somebody may have stopped it."""

_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
_room = threading.Semaphore((_processors or 1) - 1)


class Helper(Generic[T]):
    """Items that follow on each other, made in a process of its own. For one thread.

    `make`, a function of a module, returns an iterator of them. It is imported there while others
    go on here. Where all processors have something to do there is no helper, and it may be lost
    later, by an error or a kill, of which `on_lost` hears. Then the items are made here, where
    whatever was in its way is met again if it still is there.
    """

    def __init__(
        self, make: Callable[..., Iterator[T]], *, on_lost: Callable[[str], object]
    ) -> None:
        self._on_lost = on_lost
        self._process = _Process.start(make)
        self._begun = False

    @property
    def there(self) -> bool:
        """Whether there is another process that makes items, or will once it is ready."""
        return self._process is not None

    @property
    def ready(self) -> bool:
        """Whether the next item comes from there."""
        return self._process is not None and (self._begun or self._process.ready)

    def take(
        self, here: Callable[[], T | None], arguments: Callable[[], tuple[object, ...]]
    ) -> T | None:
        """The next item, None behind the last one. It is made by `here` until the helper is ready,
        which begins with `make(*arguments())`, as a pickle holds it; and once it is lost or at its
        end.
        """
        process = self._process
        if process is None or not self.ready:
            return here()
        try:
            if not self._begun:
                process.begin(arguments())
                self._begun = True
            item = process.take()
        except _LostError as lost:
            self.close()
            self._on_lost(str(lost))
            return here()
        if item is None:
            self.close()
        return cast("T | None", item)

    def close(self) -> None:
        """End the process, whatever it is at; may be repeated."""
        if self._process is not None:
            self._process.close()
            self._process = None


class _LostError(Exception):
    """The process has failed, or ended before its last item; the message says how."""


class _Process:
    """The other process, as it is seen from here."""

    def __init__(self) -> None:
        places = [place or str(Path.cwd()) for place in sys.path]
        process = subprocess.Popen(  # noqa: S603  (this Python, a line of ours, no shell)
            [sys.executable, "-c", _BEGIN, *places],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what goes wrong there, it tells in its answer
            start_new_session=True,  # whoever presses Ctrl-C means this process
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._to, self._from = process.stdin, process.stdout

    @classmethod
    def start(cls, make: Callable[..., object]) -> "_Process | None":
        """None where this process and its helpers are as many as there are processors, or where no
        process can be started.
        """
        if not sys.executable or not _room.acquire(blocking=False):
            return None
        try:
            process = cls()
        except OSError:
            _room.release()
            return None
        try:
            process.say(make)
        except BaseException:
            process.close()
            raise
        return process

    @property
    def ready(self) -> bool:
        """Whether it has imported what it needs, or has failed to."""
        looking = select.poll()
        looking.register(self._from, select.POLLIN)
        return bool(looking.poll(0))

    def begin(self, arguments: tuple[object, ...]) -> None:
        self.take()
        self.say(arguments)

    def take(self) -> object:
        """What it says next. Raises _LostError."""
        deadline = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            kind, content = pickle.load(self._from)  # noqa: S301  (from a process of our own)
        except EOFError as exc:
            raise _LostError(f"it ended with code {self._ended()}") from exc
        except Exception as exc:  # whatever it has written, there is no going on from it
            self._process.kill()
            raise _LostError(f"{type(exc).__name__}: {exc}") from exc
        finally:
            deadline.cancel()
        if kind == _FAILED:
            raise _LostError(content)
        return content

    def _ended(self) -> int:
        """The code with which it ends, behind its last word."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_SECONDS)
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._from.close()
        with suppress(BrokenPipeError):  # of what it has not read
            self._to.close()
        _room.release()

    def say(self, message: object) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with suppress(BrokenPipeError):  # why it has ended is asked when it should answer
            self._to.write(data)
            self._to.flush()


_BEGIN: Final = "import sys; sys.path[:] = sys.argv[1:]; from cdc.helper import main; main()"
"""Every module is to be the very one that this process has."""

_ITEM: Final = "item"
_FAILED: Final = "failed"


def main() -> None:
    """The other process: reads what to make and with which arguments, and writes the items."""
    garbage.collect_rarely()
    # Whatever else is printed, by whomever, must not get between the items.
    outbox = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):  # nobody waits for it any more
        for answer in _answers(sys.stdin.buffer):
            pickle.dump(answer, outbox, pickle.HIGHEST_PROTOCOL)
            outbox.flush()


def _answers(inbox: BinaryIO) -> Iterator[tuple[str, object]]:
    make = pickle.load(inbox)  # noqa: S301  (from the process that has started this one)
    yield _ITEM, None
    try:
        arguments = pickle.load(inbox)  # noqa: S301
    except EOFError:  # it was not needed
        return
    try:
        for item in make(*arguments):
            yield _ITEM, item
    except (Exception, SystemExit) as exc:  # noqa: BLE001  (the other process has to hear it)
        yield _FAILED, f"{type(exc).__name__}: {exc}"
    else:
        yield _ITEM, None
