"""Reading ahead, in a second thread, while the first is busy with PostgreSQL."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SWITCH_SECONDS: Final = 0.0005
"""How long one thread may keep Python to itself while another waits for it. Each answer of
PostgreSQL is waited for by a thread; with Python's 5 ms a reader beside it costs it as much."""


def take_turns() -> None:
    """Have the threads of this process take turns quickly, from now on."""
    sys.setswitchinterval(SWITCH_SECONDS)


class ReadAhead(Generic[T]):
    """Reads under way, one after another. Until all are taken nobody else may use the file."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cdc-read")
        self._begun: deque[Future[T]] = deque()

    def start(self, read: Callable[[], T]) -> None:
        """Begin a read, behind those that were begun before."""
        self._begun.append(self._executor.submit(read))

    def take(self) -> T | None:
        """The result of the first read begun, None when there is none. Raises what it raised."""
        return self._begun.popleft().result() if self._begun else None

    def forget(self, dispose: Callable[[T], object] = lambda _: None) -> None:
        """Wait for the read under way and drop all that was begun, errors included.

        Results are handed to `dispose`, for what they hold open.
        """
        begun, self._begun = self._begun, deque()
        for future in begun:
            future.cancel()
        wait(begun)
        for future in begun:
            if not future.cancelled() and future.exception() is None:
                dispose(future.result())

    def close(self) -> None:
        """Wait for the read under way and forget all."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Ahead(Generic[T]):
    """The items of an iterator, of which up to `depth` are made ready before they are asked for.

    With a `depth` of 0 each is made when it is asked for, in the thread that asks.
    """

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._items = items
        self._depth = depth
        self._ahead: ReadAhead[T | None] = ReadAhead()
        for _ in range(depth):
            self._ahead.start(self._next)

    def take(self) -> T | None:
        """The next item, None behind the last. Raises what making it raised, and then no more."""
        if not self._depth:
            return self._next()
        item = self._ahead.take()
        self._ahead.start(self._next)
        return item

    def close(self) -> None:
        """Wait for the item under way and forget it; may be repeated."""
        self._ahead.close()

    def _next(self) -> T | None:
        return next(self._items, None)
