"""`cdc events`: what the changelog holds, as JSON lines."""

import enum
import os
import select
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from cdc.cli.options import ConfigOption, SourceOption, load_config
from cdc.cli.output import tell
from cdc.config import Config
from cdc.errors import ConfigError
from cdc.replay.feed import Feed
from cdc.replay.feed import follow as follow_feeds
from cdc.replay.instants import instant_of, parse_instant
from cdc.replay.reader import EventReader, sources_of
from cdc.replay.selection import Selection
from cdc.stop import Stop


class EventFormat(enum.StrEnum):
    """The values of --format."""

    JSON = "json"
    DEBEZIUM = "debezium"


def events(
    *,
    config: ConfigOption = None,
    source: SourceOption = None,
    first: Annotated[
        int | None, typer.Option("--from", min=1, metavar="SEQ", help="From this event on.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=0, metavar="SEQ", help="Up to and with this event.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="T", help="This table only, its earlier names included."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="V", help="This row only; once for each column of the table's key."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help='From a time on: "2025-07-31 12:00 America/New_York".'),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Up to and with a time.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each event as it is committed.")
    ] = False,
    format: Annotated[
        EventFormat, typer.Option(help="The tool's own lines, or Debezium's envelope.")
    ] = EventFormat.JSON,
) -> None:
    """Print the recorded events as JSON lines, in the order of their commits.

    Each source has its own order; of several sources one comes after the other. --follow goes on
    with all of them until it is told to stop, or until nobody reads what it prints.
    """
    loaded = load_config(config)
    if follow and (last is not None or until is not None):
        raise ConfigError("--follow has no end: it does not go together with --to and --until.")
    if (first is not None or last is not None) and source is None and len(loaded.sources) > 1:
        raise ConfigError("Each source counts its own events: --from and --to need --source.")
    selection = Selection(
        first=first,
        last=last,
        since=None if since is None else parse_instant(since),
        until=None if until is None else parse_instant(until),
        table=table,
        key=tuple(key or ()),
    )
    with ExitStack() as stack:
        readers = _readers(stack, loaded, source)
        _tell_beginnings(readers, selection)
        feeds = [Feed(r, selection, format.value) for r in _with_table(readers, table)]
        try:
            if follow:
                _follow(loaded, feeds)
            else:
                for feed in feeds:
                    while (lines := feed.next()) is not None:
                        _put(lines)
        except BrokenPipeError:
            _leave_output()


def _readers(stack: ExitStack, config: Config, source: str | None) -> list[EventReader]:
    bound = config.replication.lock_bound_ms / 1000
    return [stack.enter_context(EventReader(each, bound)) for each in sources_of(config, source)]


def _with_table(readers: list[EventReader], table: str | None) -> list[EventReader]:
    if table is None:
        return readers
    found = [reader for reader in readers if reader.shapes.newest(table) is not None]
    if not found:
        known = "; ".join(f"{r.source.name}: {name}" for r in readers for name in r.shapes.names)
        raise ConfigError(
            f"No event tells of a table {table!r}.",
            hint=f"The tables that are recorded: {known or 'none'}.",
        )
    return found


def _tell_beginnings(readers: list[EventReader], selection: Selection) -> None:
    """Say where what is asked for lies before what is kept."""
    for reader in readers:
        begins = reader.beginning()
        if begins is None or begins.seq <= (selection.first or 1):
            continue
        at = instant_of(begins.at)
        tell(
            f"{reader.source.name}: the events before {begins.seq} ({at:%Y-%m-%d %H:%M:%S} UTC) are"
            " not kept any more."
        )


def _follow(config: Config, feeds: list[Feed]) -> None:
    stop = Stop()
    stop.ask_on_signals()
    follow_feeds(
        feeds,
        _put,
        stop,
        poll_seconds=config.replication.poll_ms / 1000,
        is_wanted=_is_read,
    )


def _put(lines: list[bytes]) -> None:
    sys.stdout.buffer.write(b"".join(lines))
    sys.stdout.buffer.flush()


def _is_read() -> bool:
    """Whether standard output still has somebody at its other end."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _leave_output() -> None:
    """Let Python's own last flush go nowhere: whoever read our output has had enough."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
