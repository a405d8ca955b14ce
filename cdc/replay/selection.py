"""Which events are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cdc.errors import ConfigError
from cdc.event import AT, LAYOUT, SEQ, VALUES, Event
from cdc.replay.instants import instant_of
from cdc.replay.keys import parse_key
from cdc.replay.shapes import Shapes
from cdc.schema import Key


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line asks for; None asks for all. Both ends of a range belong to it.

    `key` holds a word for each column of the key, and needs a `table`.
    """

    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    table: str | None = None
    key: Sequence[str] = ()


class Chosen:
    """The events of one log that a selection takes; a table that comes later is taken, too.

    Raises ConfigError where the key does not parse.
    """

    def __init__(self, selection: Selection, shapes: Shapes) -> None:
        self._selection = selection
        self._key: Key | None = None
        self._places: dict[int, tuple[int, ...]] | None = None
        newest = None if selection.table is None else shapes.newest(selection.table)
        if selection.key:
            if selection.table is None:
                raise ConfigError("--key needs --table: a key is one of a table.")
            if newest is not None:
                self._key = parse_key(shapes.tables[newest], selection.key)
        self.look(shapes)

    def look(self, shapes: Shapes) -> None:
        """Take note of the layouts that the log has by now."""
        if self._selection.table is not None:
            layouts = shapes.of_table(self._selection.table)
            self._places = places_of_key(shapes, layouts)

    def of_row(self, event: Event) -> bool:
        """Whether an event is of the table and the key that are asked for, whenever it was."""
        if self._places is None:
            return True
        places = self._places.get(event[LAYOUT])
        if places is None:
            return False
        return self._key is None or tuple(event[i] for i in places) == self._key

    def in_range(self, event: Event) -> bool:
        """Whether an event is of the range of seqs and times that is asked for."""
        asked = self._selection
        if asked.first is not None and event[SEQ] < asked.first:
            return False
        if asked.last is not None and event[SEQ] > asked.last:
            return False
        if asked.since is None and asked.until is None:
            return True
        at = instant_of(event[AT])
        if at is None:
            return False
        return not (
            (asked.since is not None and at < asked.since)
            or (asked.until is not None and at > asked.until)
        )


def places_of_key(
    shapes: Shapes, layouts: dict[int, tuple[str, ...]]
) -> dict[int, tuple[int, ...]]:
    """Where in an event of each layout the key's values stand, for layouts of one table.

    The key is the one that the newest of them has; layouts with another one are left out.
    """
    places: dict[int, tuple[int, ...]] = {}
    wanted: list[str] | None = None
    for layout in sorted(layouts, reverse=True):
        key = shapes.tables[layout].key
        names = [layouts[layout][i] for i in key]
        wanted = wanted or names
        if names == wanted:
            places[layout] = tuple(VALUES + i for i in key)
    return places
