"""The progress of `cdc replay` on a terminal: a bar, its rate, and how long it will take."""

from rich.console import Console
from rich.progress import TextColumn

from cdc.cli.bars import WatchedBars
from cdc.rebuild.replaying import ReplayProgress


class ReplayBars(WatchedBars):
    """Shows how far one replay is."""

    def __init__(self, console: Console, progress: ReplayProgress, *, live: bool) -> None:
        super().__init__(
            console,
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} events and rows"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
            live=live,
        )
        self._replay = progress

    def _begin(self) -> None:
        self._bars.add_task(self._replay.name, total=1, rate=0.0)

    def _show(self) -> None:
        (task,) = self._bars.tasks
        self._bars.update(
            task.id,
            completed=self._replay.done,
            total=max(self._replay.expected, self._replay.done, 1),
            rate=task.speed or 0.0,
        )
