"""The progress of `cdc replay` on a terminal: a bar, its rate, and how long it will take."""

import threading
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cdc.pipeline.replaying import ReplayProgress

LOOK_SECONDS: Final = 0.2


class ReplayBars:
    """Shows how far one replay is, from a thread of its own; where `live` is false, nothing."""

    def __init__(self, console: Console, progress: ReplayProgress, *, live: bool) -> None:
        self._replay = progress
        self._live = live
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cdc-progress", daemon=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} events and rows"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not live,
        )

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
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
            self._progress.stop()

    def _watch(self) -> None:
        task = self._progress.add_task(self._replay.name, total=1, rate=0.0)
        while not self._ended.wait(LOOK_SECONDS):
            found = self._progress.tasks[0]
            self._progress.update(
                task,
                completed=self._replay.done,
                total=max(self._replay.expected, self._replay.done, 1),
                rate=found.speed or 0.0,
            )
