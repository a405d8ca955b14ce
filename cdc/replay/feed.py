"""The chosen events of one source as lines, up to where the log ends now, and on from there."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from cdc.errors import SourceBusy
from cdc.event import LAYOUT, Event
from cdc.replay.debezium import Envelopes
from cdc.replay.forms import event_line
from cdc.replay.reader import EventReader
from cdc.replay.selection import Chosen, Selection
from cdc.schema import Table
from cdc.sqlite.wakeup import Watch
from cdc.stop import LOOKS, Alarm, Stop

Format = Literal["json", "debezium"]


class Lines(Protocol):
    """Makes lines of the events of one source."""

    def note(self, table: Table, event: Event) -> None:
        """Take note of an event that comes before those that are asked for."""

    def line(self, table: Table, event: Event) -> bytes:
        """An event as one line."""


class PlainLines:
    """Events in the form of `cdc.replay.forms`."""

    def __init__(self, source: str) -> None:
        self._source = source

    def note(self, table: Table, event: Event) -> None:
        """Nothing: each line stands for itself."""

    def line(self, table: Table, event: Event) -> bytes:
        """An event as one line."""
        return event_line(self._source, table, event)


class Feed:
    """The lines of one source. Raises ConfigError where the key asked for does not parse."""

    def __init__(self, reader: EventReader, selection: Selection, form: Format) -> None:
        self.reader = reader
        self._selection = selection
        self._chosen = Chosen(selection, reader.shapes)
        self._shapes = reader.shapes
        self._lines: Lines = PlainLines(reader.source.name)
        if form == "debezium":
            # What a row was before is told by the events before.
            self._lines = Envelopes(reader.source.name, reader.source.path.name)
        elif selection.first is not None:
            reader.after = max(0, selection.first - 1)

    def next(self) -> list[bytes] | None:
        """The lines of the next events, maybe none of them; None where the log ends for now."""
        events = self.reader.read(self._selection.last)
        if not events:
            return None
        if self.reader.shapes is not self._shapes:
            self._shapes = self.reader.shapes
            self._chosen.look(self._shapes)
        return [line for event in events if (line := self._line(event)) is not None]

    def _line(self, event: Event) -> bytes | None:
        table = self._shapes.tables.get(event[LAYOUT])
        if table is None or not self._chosen.of_row(event):
            return None
        if not self._chosen.in_range(event):
            self._lines.note(table, event)
            return None
        return self._lines.line(table, event)


def follow(
    feeds: Sequence[Feed],
    put: Callable[[list[bytes]], None],
    stop: Stop,
    *,
    poll_seconds: float,
    is_wanted: Callable[[], bool],
) -> None:
    """Put every line there is, and each that comes, until told to stop or not wanted any more.

    A file that is locked is looked at again; any other error of a source ends it.
    """
    bell = Alarm()
    stop.on_ask(bell.ring)
    watch = Watch()
    for feed in feeds:
        watch.add(feed.reader.source.path, bell.ring)
    watch.start()
    try:
        looks = iter(LOOKS)
        while not stop.asked and is_wanted():
            worked = [_put_next(feed, put) for feed in feeds]
            if any(worked):
                looks = iter(LOOKS)
                continue
            pause = next(looks, None)
            if bell.wait(poll_seconds if pause is None else pause) or pause is None:
                looks = iter(LOOKS)
    finally:
        watch.stop()


def _put_next(feed: Feed, put: Callable[[list[bytes]], None]) -> bool:
    try:
        lines = feed.next()
    except SourceBusy:
        return False
    if lines:
        put(lines)
    return lines is not None
