"""Reading one step ahead, in a second thread, while the first is busy with PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """At most one read under way. Between `start` and `take` nobody else may use the file."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cdc-read")
        self._future: Future[T] | None = None

    def start(self, read: Callable[[], T]) -> None:
        """Begin a read; the last one must have been taken."""
        self._future = self._executor.submit(read)

    def take(self) -> T | None:
        """The result of the read under way, or None when there is none. Raises what it raised."""
        future, self._future = self._future, None
        return None if future is None else future.result()

    def forget(self) -> None:
        """Wait for the read under way and drop what comes of it, an error included."""
        future, self._future = self._future, None
        if future is not None:
            wait([future])

    def close(self) -> None:
        """Wait for the read under way and forget it."""
        self._executor.shutdown(wait=True, cancel_futures=True)
