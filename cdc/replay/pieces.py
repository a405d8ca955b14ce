"""A replay cut into pieces: stretches of events, and the chunks of baselines where they belong.

A chunk is applied when the events are up to the moment at which it was read; so the order is that
in which the target was once copied, and what is written is exact at each step.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import chain
from operator import itemgetter
from typing import Final

from cdc.archive.latest import whole_events
from cdc.archive.reader import Baseline, BaselineChunk
from cdc.archive.rows import load_row
from cdc.errors import ArchiveDamaged, StateNotKept
from cdc.event import AT, LAYOUT, SEQ, Event, digest
from cdc.rebuilt import Standing
from cdc.replay.plan import Plan
from cdc.replay.store import Store
from cdc.replay.stretches import Search, Stretch
from cdc.schema import Table
from cdc.sqlite.log import Position

STRETCH_VALUES: Final = 250_000
"""Values (events times columns) that one piece keeps, once the last event of each key is found."""


@dataclass(frozen=True, slots=True)
class BaselinePiece:
    """A chunk of the baseline of the table with this layout."""

    layout: int
    chunk: BaselineChunk


@dataclass(frozen=True, slots=True)
class Piece:
    """The last event of each key among `count` events, which lead up to `end` (None without any),
    and then a chunk. With it `chunks` chunks are written since the beginning.

    The events come in groups, made whenever they are asked for. Unless they are `apart`, there may
    be more events of some keys than the last one: then all are in one group, and in order.
    """

    groups: Iterable[Sequence[Event]]
    count: int
    end: Position | None
    base: BaselinePiece | None
    chunks: int
    apart: bool = False

    @property
    def events(self) -> list[Event]:
        """All of the events, in order."""
        return sorted(chain.from_iterable(self.groups), key=itemgetter(SEQ))


NOTHING: Final = Piece((), 0, None, None, 0)


def pieces(store: Store, plan: Plan, standing: Standing) -> Iterator[Piece]:
    """The pieces of a plan behind where its destination stands."""
    reading = _Reading(store, plan)
    seq, chunks = standing.seq, 0
    for base in _in_order(plan):
        chunks += 1
        if chunks <= standing.chunks:
            continue
        last = NOTHING
        for piece in reading.stretches(seq, base.chunk.as_of):
            if last is not NOTHING:
                yield replace(last, chunks=chunks - 1)
            last = piece
        yield replace(last, base=base, chunks=chunks)
        seq = max(seq, base.chunk.as_of)
    for piece in reading.stretches(seq, plan.goal.seq):
        yield replace(piece, chunks=chunks)


def _in_order(plan: Plan) -> Iterator[BaselinePiece]:
    """The chunks of all baselines, in the order in which they were read.

    Only baselines that are begun, and have not ended, have a file open.
    """
    layouts = {b.number: t.layout for t in plan.tables if (b := t.baseline) is not None}
    waiting: list[tuple[int, int, BaselineChunk | None]] = []
    opened: dict[int, Iterator[BaselineChunk]] = {}
    known: dict[int, Baseline] = {base.number: base for base in plan.baselines}
    for base in plan.baselines:
        heappush(waiting, (base.first_as_of, base.number, None))
    while waiting:
        _, number, chunk = heappop(waiting)
        if chunk is not None:
            yield BaselinePiece(layouts[number], chunk)
        found = next(opened.setdefault(number, known[number].chunks()), None)
        if found is not None:
            heappush(waiting, (found.as_of, number, found))


class _Reading:
    """Reads the events of a plan's tables, out of the archive and then out of the file."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store = store
        # A capture that began without rows has no event before that anyway.
        self._starts = {table.layout: table.start if table.baseline else 0 for table in plan.tables}
        self._tables = {table.layout: table.life.table for table in plan.tables}
        widest = max((len(table.columns) for table in self._tables.values()), default=1)
        self._most = max(1, STRETCH_VALUES // widest)

    def stretches(self, after: int, up_to: int) -> Iterator[Piece]:
        """The events behind `after`, up to `up_to`, of the tables that have begun by `after`."""
        tables = {
            layout: table for layout, table in self._tables.items() if self._starts[layout] <= after
        }
        archived = min(self._store.archived, up_to)
        if after < archived and self._store.segments(after, after + 1):
            yield from self._archived(after, archived, tables)
            after = archived
        if after < up_to:
            yield from self._live(after, up_to, tables)

    def _archived(self, after: int, up_to: int, tables: Mapping[int, Table]) -> Iterator[Piece]:
        segments = self._store.segments(after, up_to)
        search = Search(segments, tables, after, up_to, self._most)
        for stretch in self._store.scan.stretches(search):
            yield _piece(stretch, tables)

    def _live(self, after: int, up_to: int, tables: Mapping[int, Table]) -> Iterator[Piece]:
        reader = self._store.reader
        if reader is None:
            raise _not_kept(self._store, after)
        reader.start_after(after)
        kept: list[Event] = []
        begun, last = after, None
        while reader.after < up_to:
            before = reader.after
            events = reader.read(up_to)
            if not events or events[0][SEQ] != before + 1:
                raise _not_kept(self._store, before)
            kept += [event for event in events if event[LAYOUT] in tables]
            last = events[-1]
            if len(kept) >= self._most:
                yield Piece([kept], reader.after - begun, _position(last), None, 0)
                kept, begun, last = [], reader.after, None
        if last is not None:
            yield Piece([kept], reader.after - begun, _position(last), None, 0)


@dataclass(frozen=True, slots=True)
class _Archived:
    """The events of a stretch, decoded group by group."""

    stretch: Stretch
    tables: Mapping[int, Table]

    def __iter__(self) -> Iterator[Sequence[Event]]:
        with _naming_damage():
            groups = whole_events(self.stretch.groups, self.tables)
            if self.stretch.apart:
                yield from groups
            else:
                yield sorted(chain.from_iterable(groups), key=itemgetter(SEQ))


def _piece(stretch: Stretch, tables: Mapping[int, Table]) -> Piece:
    with _naming_damage():
        end = _position(load_row(stretch.last))
    return Piece(_Archived(stretch, tables), stretch.count, end, None, 0, stretch.apart)


@contextmanager
def _naming_damage() -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:
        raise ArchiveDamaged(
            "A line of a segment is no event.", hint="See cdc archive verify."
        ) from error


def _position(event: Event) -> Position:
    return Position(event[SEQ], digest(event), event[AT])


def _not_kept(store: Store, seq: int) -> StateNotKept:
    return StateNotKept(
        f"The events of {store.source.name} behind event {seq:,} are not in its file any more.",
        hint="They were archived meanwhile: run the same command again.",
    )
