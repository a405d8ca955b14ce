"""What a run is doing, live: the phases on a terminal, a line for each elsewhere."""

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdc.cli.output import duration
from cdc.cutover.phases import Report

REFRESH_PER_SECOND = 5


class CutoverProgress:
    """Shows the phases of a run as they go, and what is done at the moment.

    `tell` is for the run to call. Where `live` is false each of its words is a line.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._report: Report | None = None
        self._words = ""
        self._since = time.monotonic()
        self._live = (
            Live(
                console=console,
                get_renderable=self._picture,
                refresh_per_second=REFRESH_PER_SECOND,
                transient=True,
            )
            if live
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            with suppress(OSError):  # the terminal is closed
                self._live.stop()

    def watch(self, report: Report) -> None:
        """Show the phases of this report, which its run goes on filling."""
        self._report = report

    def tell(self, words: str) -> None:
        """Say what begins now."""
        self._words, self._since = words, time.monotonic()
        if self._live is None:
            self._console.print(f"… {words}", markup=False)

    def _picture(self) -> Table:
        lines = Table.grid(padding=(0, 2))
        phases = self._report.phases if self._report is not None else []
        for phase in phases:
            current = phase is phases[-1]
            took = time.monotonic() - self._since if current else phase.seconds
            over = took > phase.budget_seconds
            lines.add_row(
                Text(phase.name, style="bold" if current else "dim"),
                Text(duration(took), justify="right", style="bold red" if over else ""),
                Text(f"of {duration(phase.budget_seconds)}", style="dim"),
                Text(f"… {self._words}" if current else ""),
            )
        return lines
