"""The keys that the log names since the oldest position that a kept range is proven for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from cdc.event import LAYOUT, SEQ, VALUES
from cdc.schema import Key
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.rows import Bound

EVENTS_AT_ONCE: Final = 50_000

MOST_KEYS: Final = 500_000
"""With more of them it is no longer cheaper to compare keys than ranges."""


@dataclass(slots=True)
class Touched:
    """The keys touched behind `since`, by the layout of their events.

    They are named as far as the log reached when the proof began, at which moment the target was at
    `position`: with all of them compared, what is kept holds there.
    """

    since: int
    position: int
    _keys: Mapping[int, Collection[Key]] = field(default_factory=dict)

    def of(self, layout: int) -> Collection[Key]:
        return self._keys.get(layout, ())


def read_touched(
    file: SourceFile,
    keys: Mapping[int, tuple[int, ...]],
    since: int,
    position: int,
    lock_bound: float,
) -> Touched:
    """The keys of all events behind `since`, in as many short reads as that takes.

    `keys` are the positions of the key, by layout. Where the log does not reach back so far, or
    names too many, nothing can be told of what is older than its end: then that is `since`.
    """
    with file.reading():
        end = Changelog(file).newest()
    named = {layout: [VALUES + i for i in positions] for layout, positions in keys.items()}
    found: dict[int, set[Key]] = {layout: set() for layout in keys}
    changelog, seq, bound = Changelog(file), since, Bound(lock_bound, EVENTS_AT_ONCE)
    while seq < end:
        with file.reading():
            events = changelog.read(seq, bound, up_to=end).events
        if not events or events[0][SEQ] != seq + 1:
            return Touched(end, position)
        for event in events:
            positions = named.get(event[LAYOUT])
            if positions is not None:
                found[event[LAYOUT]].add(tuple([event[i] for i in positions]))
        seq = events[-1][SEQ]
        if sum(map(len, found.values())) > MOST_KEYS:
            return Touched(end, position)
    return Touched(since, position, found)
