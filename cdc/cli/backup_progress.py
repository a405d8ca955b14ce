"""The progress of a backup or a restore on a terminal: one bar, for what is being done."""

import threading
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from cdc.backup.progress import Progress

LOOK_SECONDS: Final = 0.2


class BackupProgress:
    """Shows it from a thread of its own; where `live` is false, nothing."""

    def __init__(self, console: Console, progress: Progress, *, live: bool) -> None:
        self._progress = progress
        self._live = live
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cdc-progress", daemon=True)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not live,
        )

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

    def _watch(self) -> None:
        task = self._bars.add_task("", total=None, amount="")
        shown = ""
        while not self._ended.wait(LOOK_SECONDS):
            now = self._progress
            if now.what != shown:
                shown = now.what
                self._bars.reset(task, total=now.total, amount="")
            self._bars.update(
                task, description=shown, completed=now.done, total=now.total, amount=_amount(now)
            )


def _amount(progress: Progress) -> str:
    if not progress.done:
        return ""
    if progress.unit == "bytes":
        return megabytes(progress.done)
    return f"{progress.done:,} rows"


def megabytes(size: int) -> str:
    """A size for people.

    >>> megabytes(12_345_678), megabytes(999)
    ('12.3 MB', '0.0 MB')
    """
    return f"{size / 1_000_000:,.1f} MB"
