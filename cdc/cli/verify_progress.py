"""The progress of `cdc verify` on a terminal: one bar for each source, over all its tables."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import TaskID, TextColumn

from cdc.cli.bars import WatchedBars
from cdc.proof.sources import SourceProof


class VerifyProgress(WatchedBars):
    """Shows how far each source is."""

    def __init__(self, console: Console, proofs: Sequence[SourceProof], *, live: bool) -> None:
        super().__init__(console, TextColumn("{task.completed:,.0f} rows"), live=live)
        self._proofs = proofs
        self._tasks: list[TaskID] = []

    def _begin(self) -> None:
        self._tasks = [self._bars.add_task(each.outcome.name, total=None) for each in self._proofs]

    def _show(self) -> None:
        for task, proof in zip(self._tasks, self._proofs, strict=True):
            seen, expected = proof.progress
            name = proof.outcome.name
            if proof.current is not None:
                name = f"{name}: {proof.current.name}"
            self._bars.update(task, description=name, completed=seen, total=expected)
