"""The progress of `cdc plan` on a terminal: one bar, for the table that is being looked at."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cdc.plan.survey import Advance


class PlanProgress:
    """Shows which table is looked at; where `live` is false there is nothing to see."""

    def __init__(self, console: Console, *, live: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f} rows"),
            console=console,
            transient=True,
            disable=not live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def watch(self, source: str, table: str) -> Advance:
        """Begin with a table; what this returns hears of its rows."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        task = self._progress.add_task(f"{source}: {table}", total=None)

        def advance(seen: int, expected: int | None) -> None:
            # The number of rows is only estimated, and may be less than there are.
            total = None if expected is None else max(expected, seen)
            self._progress.update(task, completed=seen, total=total)

        return advance
