"""The live display on a terminal: bars while it copies, then one calm line per source."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cdc.cli.output import duration
from cdc.pipeline.progress import SourceProgress, SourceState, TableProgress

BAR_WIDTH = 30

STYLES = {
    SourceState.TAILING: "green",
    SourceState.RETURNING: "magenta",
    SourceState.COPYING: "cyan",
    SourceState.WAITING: "yellow",
    SourceState.HALTED: "bold red",
}


class Display:
    """Shows the progress of all sources; where `live` is false there is nothing to see."""

    def __init__(self, sources: list[SourceProgress], console: Console, *, live: bool) -> None:
        self._sources = sources
        self._shown = ""
        self._live = Live(console=console, auto_refresh=False, transient=False) if live else None

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
            self._live.stop()

    def show(self) -> None:
        """Bring the display up to date; costs nothing while nothing moves."""
        if self._live is None:
            return
        now = repr(self._sources)
        if now != self._shown:
            self._shown = now
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        lines = Table.grid(padding=(0, 2))
        for source in self._sources:
            lines.add_row(
                Text(source.name, style="bold"),
                Text(source.state.value, style=STYLES.get(source.state, "")),
                Text(_words(source), overflow="ellipsis", no_wrap=True),
            )
        bars = Table.grid(padding=(0, 2))
        for source in self._sources:
            if source.state is SourceState.COPYING:
                _add_bars(bars, source)
        return Group(lines, bars) if bars.row_count else Group(lines)


def _words(source: SourceProgress) -> str:
    match source.state:
        case SourceState.COPYING:
            done = sum(table.done for table in source.tables.values())
            rows = sum(table.copied for table in source.tables.values())
            return f"{done} of {len(source.tables)} tables, {rows:,} rows"
        case SourceState.WAITING | SourceState.HALTED:
            return source.message
        case SourceState.RETURNING:
            last = f", within {duration(source.delays[-1])}" if source.delays else ""
            return f"{source.events:,} writes of PostgreSQL brought back{last}"
        case SourceState.FINISHED:
            return "PostgreSQL is master for good"
        case SourceState.TAILING:
            behind = source.captured_seq - source.applied_seq
            lag = f"{behind:,} events to go" if behind else "caught up"
            last = f", applied within {duration(source.delays[-1])}" if source.delays else ""
            stopped = f"; stopped: {', '.join(source.stopped)}" if source.stopped else ""
            return f"{lag} at event {source.applied_seq:,}{last}{stopped}"
    return ""


def _add_bars(bars: Table, source: SourceProgress) -> None:
    """A bar for the table that is being copied."""
    current = next(((n, t) for n, t in source.tables.items() if not t.done), None)
    if current is not None:
        name, table = current
        bars.add_row(f"  {name}", _bar(table), _counts(table))


def _bar(table: TableProgress) -> ProgressBar:
    total = None if table.expected is None else max(table.expected, table.copied, 1)
    return ProgressBar(total=total, completed=table.copied, width=BAR_WIDTH, pulse=total is None)


def _counts(table: TableProgress) -> str:
    of = f" of about {table.expected:,}" if table.expected else ""
    return f"{table.copied:,}{of} rows"
