"""Making segments: of events, and of the chunks of a baseline."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

import orjson

from cdc import event
from cdc.archive.chain import Chain
from cdc.archive.rows import dump_rows
from cdc.archive.segment import (
    FORMAT,
    BaselineHeader,
    Body,
    EventsHeader,
    Segment,
)
from cdc.event import AT, LAYOUT, SEQ, Event
from cdc.schema import Row
from cdc.sqlite.chunks import Chunk

MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is full: with `events` events, or `size` bytes before compression."""

    events: int
    size: int


class EventsDraft:
    """A segment of events to be. `definitions` are those of all layouts of the log, by id."""

    def __init__(self, chain: Chain, definitions: Mapping[int, str], limits: Limits) -> None:
        self._chain = chain
        self._definitions = definitions
        self._limits = limits
        self._body = Body()
        self._used: set[int] = set()
        self._first: Event | None = None
        self._last: Event | None = None
        self.count = 0

    @property
    def room(self) -> int:
        """How many more events fit."""
        return max(0, self._limits.events - self.count)

    @property
    def full(self) -> bool:
        return self.room == 0 or self._body.size >= self._limits.size

    def add(self, events: Sequence[Event]) -> None:
        """Add the events that come next."""
        if not events:
            return
        self._first = self._first or events[0]
        self._last = events[-1]
        self.count += len(events)
        self._used.update(each[LAYOUT] for each in events)
        self._body.add(dump_rows(map(_trimmed, events)))

    def write(self) -> Segment:
        """Add the segment to the chain; there must be events."""
        assert self._first is not None
        assert self._last is not None
        header = EventsHeader(
            **_common(self._chain),
            layouts={n: self._definitions[n] for n in sorted(self._used)},
            first=self._first[SEQ],
            last=self._last[SEQ],
            count=self.count,
            first_at=self._first[AT],
            last_at=self._last[AT],
            last_digest=event.digest(self._last).hex(),
        )
        return self._chain.add(header, self._body.end())


class BaselineDraft:
    """One part of a baseline to be, of the table with this layout.

    `before` is the header of the part before it, None for the first one.
    """

    def __init__(
        self, chain: Chain, table: str, layout: int, definition: str, before: BaselineHeader | None
    ) -> None:
        self._chain = chain
        self._table = table
        self._layouts = {layout: definition}
        self._layout = layout
        self._before = before
        self._body = Body()
        self._as_of: list[int] = []
        self._place = before.place if before else None
        self._ends = False
        self._count = 0

    @property
    def size(self) -> int:
        """The bytes so far, before compression."""
        return self._body.size

    def add(self, chunk: Chunk) -> None:
        """Add the chunk that comes next."""
        after, self._place = _dump_place(chunk.after), _dump_place(chunk.place)
        start = {
            "rows": len(chunk.rows),
            "as_of": chunk.as_of,
            "after": after,
            "place": self._place,
            "last": chunk.last,
        }
        self._body.add(orjson.dumps(start, option=orjson.OPT_APPEND_NEWLINE))
        self._body.add(dump_rows(chunk.rows))
        self._as_of.append(chunk.as_of)
        self._ends = chunk.last
        self._count += len(chunk.rows)

    def write(self) -> BaselineHeader:
        """Add the part to the chain; there must be a chunk."""
        before = self._before
        header = BaselineHeader(
            **_common(self._chain),
            layouts=self._layouts,
            table=self._table,
            layout=self._layout,
            baseline=before.baseline if before else self._chain.next_number,
            part=before.part + 1 if before else 1,
            ends=self._ends,
            count=self._count,
            first_as_of=self._as_of[0],
            last_as_of=self._as_of[-1],
            place=self._place,
        )
        self._chain.add(header, self._body.end())
        return header


class _Common(TypedDict):
    format: int
    source: str
    log: str
    number: int
    previous: str
    created_at: float


def _common(chain: Chain) -> _Common:
    return {
        "format": FORMAT,
        "source": chain.source,
        "log": chain.log,
        "number": chain.next_number,
        "previous": chain.previous,
        "created_at": time.time(),
    }


def _trimmed(row: Event) -> Event:
    end = len(row)
    while row[end - 1] is None:
        end -= 1
    return row[:end]


def _dump_place(place: Row | None) -> str | None:
    return None if place is None else dump_rows([place]).decode().rstrip("\n")
