"""The progress of `cdc verify` on a terminal: one bar for each source, over all its tables."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cdc.proof.sources import SourceProof

LOOK_SECONDS: Final = 0.2


class VerifyProgress:
    """Shows how far each source is, from a thread of its own; where `live` is false, nothing."""

    def __init__(self, console: Console, proofs: Sequence[SourceProof], *, live: bool) -> None:
        self._proofs = proofs
        self._live = live
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cdc-progress", daemon=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f} rows"),
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
        tasks = [self._progress.add_task(proof.outcome.name, total=None) for proof in self._proofs]
        while not self._ended.wait(LOOK_SECONDS):
            for task, proof in zip(tasks, self._proofs, strict=True):
                self._show(task, proof)

    def _show(self, task: TaskID, proof: SourceProof) -> None:
        seen, expected = proof.progress
        name = (
            proof.outcome.name
            if proof.current is None
            else (f"{proof.outcome.name}: {proof.current.name}")
        )
        self._progress.update(task, description=name, completed=seen, total=expected)
