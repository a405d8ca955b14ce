"""Stretches of the archive: of consecutive events the lines of the last one of each key, as text.

To find them takes a replay as long as all that it does with them, and needs little but the segments
themselves: so it can be done by a helper, for which this module imports little.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from cdc.ahead import Ahead
from cdc.archive.latest import Latest
from cdc.archive.rows import Joined
from cdc.archive.segment import Segment
from cdc.schema import Table

SEGMENTS_AHEAD: Final = 1
"""Segments that are read, or being read, while another one is looked into."""

LINES_AT_ONCE: Final = 5_000
"""Lines that are looked into before it is asked whether they make a stretch."""

FIRST_PART: Final = 8
"""The first stretch is this part of the others, and each one twice the one before until then: who
writes them is to have something to do soon."""

STRETCH_BYTES: Final = 24_000_000
"""About how many bytes of lines one stretch keeps."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is of account of `count` consecutive events; `last` is the line of the last of them.

    `apart`: each of the lines is of another key; without it there may be several of one.
    """

    groups: list[Joined]
    apart: bool
    count: int
    last: bytes


@dataclass(frozen=True, slots=True)
class Search:
    """The events behind `after`, up to `up_to`, that these segments hold of some tables, given by
    layout. A stretch of them ends where it has come to keep `most` events, the first ones sooner.
    """

    segments: Sequence[Segment]
    tables: Mapping[int, Table]
    after: int
    up_to: int
    most: int

    def behind(self, after: int) -> "Search":
        """What is left of it behind an event."""
        left = [each for each in self.segments if each.events.last > after]
        return replace(self, segments=left, after=after)


def stretches(
    search: Search,
    *,
    lines_of: Callable[[Segment], list[bytes]] = Segment.lines,
    ahead: int = SEGMENTS_AHEAD,
) -> Generator[Stretch, None, None]:
    """The stretches of a search; `ahead` segments are read before it is their turn."""
    latest = Latest(search.tables)
    begun = seq = search.after
    last = b""
    enough = max(search.most // FIRST_PART, 1)

    def take() -> Stretch:
        apart = latest.apart
        return Stretch(latest.take(), apart, seq - begun, last)

    # To read and decompress a segment leaves Python to who looks into the one before it.
    read = Ahead(((each, lines_of(each)) for each in search.segments), ahead)
    with closing(read):
        while (item := read.take()) is not None:
            segment, lines = item
            first = segment.events.first
            if first > seq + 1:
                raise segment.damaged(f"it begins at event {first}, not at {seq + 1}")
            if first <= seq or segment.events.last > search.up_to:
                lines = lines[seq + 1 - first : search.up_to + 1 - first]
            line_bytes = sum(map(len, lines)) / len(lines)
            for at in range(0, len(lines), LINES_AT_ONCE):
                some = lines[at : at + LINES_AT_ONCE]
                latest.add(some)
                seq += len(some)
                last = some[-1]
                if latest.count >= enough or latest.count * line_bytes >= STRETCH_BYTES:
                    yield take()
                    begun = seq
                    enough = min(enough * 2, search.most)
    if begun < seq:
        yield take()
