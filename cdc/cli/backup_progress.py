"""The progress of a backup or a restore on a terminal: one bar, for what is being done."""

from rich.console import Console
from rich.progress import TextColumn

from cdc.backup.progress import Progress
from cdc.cli.bars import WatchedBars


class BackupProgress(WatchedBars):
    """Shows how far what is being done is."""

    def __init__(self, console: Console, progress: Progress, *, live: bool) -> None:
        super().__init__(console, TextColumn("{task.fields[amount]}"), live=live)
        self._progress = progress

    def _begin(self) -> None:
        self._bars.add_task("", total=None, amount="")

    def _show(self) -> None:
        (task,) = self._bars.tasks
        now = self._progress
        if now.what != task.description:
            self._bars.reset(task.id, total=now.total, amount="", description=now.what)
        self._bars.update(task.id, completed=now.done, total=now.total, amount=_amount(now))


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
