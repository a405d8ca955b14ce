"""Bars on a terminal that a thread of their own brings up to date, while the work goes on."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

LOOK_SECONDS: Final = 0.2


class WatchedBars(ABC):
    """Shows how far something is; where `live` is false, nothing. A context.

    Behind a bar stand its `columns`, and the time that is left.
    """

    def __init__(self, console: Console, *columns: ProgressColumn, live: bool) -> None:
        self._live = live
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cdc-progress", daemon=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *columns,
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not live,
        )

    @abstractmethod
    def _begin(self) -> None:
        """Add the bars."""

    @abstractmethod
    def _show(self) -> None:
        """Bring them up to date."""

    def _watch(self) -> None:
        self._begin()
        while not self._ended.wait(LOOK_SECONDS):
            self._show()

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._ended.set()
            self._thread.join()
            self._bars.stop()
