"""Reading a source's part of the event store: its events in order, and its baselines.

Nothing here needs SQLite or PostgreSQL. Every segment is checked against its digest while it is
read; that a segment is missing at the end only `cdc archive verify` can know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from cdc.archive.chain import Chain, logs
from cdc.archive.rows import Line, load_row
from cdc.archive.segment import BaselineHeader, Segment
from cdc.event import LAYOUT, SEQ, VALUES, Event
from cdc.schema import Row, Table
from cdc.sqlite import layouts
from cdc.sqlite.layouts import Record


@dataclass(frozen=True, slots=True)
class ArchivedEvent:
    """An event, whole: it has a value for each column of `table`, its layout at the time."""

    event: Event
    table: Table

    @property
    def seq(self) -> int:
        return int(self.event[SEQ])


@dataclass(frozen=True, slots=True)
class BaselineChunk:
    """All rows of a table between two places of its chunk order, as they were when the log ended
    at `as_of`: behind `after` (None: from the beginning) up to `place`, or to the end when `last`.

    To rebuild the table from a baseline: apply the events up to `as_of`, then make the range equal
    these rows, chunk after chunk; then apply the events behind the last one's `as_of`. An event
    carries its whole row, so those before the first chunk's `as_of` may be left out.
    """

    rows: list[Row]
    as_of: int
    after: Row | None
    place: Row | None
    last: bool


@dataclass(frozen=True, slots=True)
class Baseline:
    """A whole baseline of one table: exact from event `last_as_of` on, begun at `first_as_of`."""

    number: int
    table: Table
    layout: int
    rows: int
    first_as_of: int
    last_as_of: int
    created_at: float
    segments: tuple[Segment, ...]

    def chunks(self) -> Iterator[BaselineChunk]:
        """The chunks, in order."""
        for segment in self.segments:
            yield from _chunks(segment)


def open_archive(directory: Path, source: str, log: str | None = None) -> "Archive":
    """What the store in `directory` holds of the changelog with the id `log`; without one of the
    changelog that was archived last.
    """
    return Archive(Chain(directory, source, log or next(reversed(logs(directory, source)), "")))


class Archive:
    """What the store holds of one changelog, as of when its chain was looked at."""

    def __init__(self, chain: Chain) -> None:
        self.log = chain.log
        self.chain = chain

    @property
    def first_seq(self) -> int:
        """The oldest event; 0 without any."""
        return next((s.events.first for s in self._events()), 0)

    @property
    def last_seq(self) -> int:
        """The newest event; 0 without any."""
        return next((s.events.last for s in reversed(self._events())), 0)

    def events(self, after: int = 0, up_to: int | None = None) -> Iterator[ArchivedEvent]:
        """The events behind seq `after`, up to and with `up_to` or the newest.

        Raises ArchiveDamaged where a segment is missing between two others, or is not what its
        digest says; the events of that segment that came before the error are to be forgotten.
        """
        expected: int | None = None
        for segment in self._events():
            header = segment.events
            if header.last <= after:
                continue
            if up_to is not None and header.first > up_to:
                return
            if expected is not None and header.first != expected:
                raise segment.damaged(f"it begins at event {header.first}, not at {expected}")
            expected = header.last + 1
            yield from _events(segment, after, up_to)

    def layouts(self) -> dict[int, Table]:
        """Every layout that the segments mention, by id."""
        return {
            layout: layouts.load(definition)
            for segment in self.chain.segments
            for layout, definition in segment.header.layouts.items()
        }

    def records(self) -> dict[int, Record]:
        """All that the segments tell of their layouts, by id; the newest one speaks last."""
        return {
            layout: layouts.load_record(definition)
            for segment in self.chain.segments
            for layout, definition in segment.header.layouts.items()
        }

    def baselines(self) -> list[Baseline]:
        """Every baseline that is whole, in the order in which they were begun."""
        parts: dict[int, list[tuple[Segment, BaselineHeader]]] = {}
        for segment in self.chain.segments:
            if segment.kind == "baseline":
                header = segment.baseline
                parts.setdefault(header.baseline, []).append((segment, header))
        return [_baseline(n, found) for n, found in sorted(parts.items()) if is_whole(found)]

    def _events(self) -> list[Segment]:
        return [segment for segment in self.chain.segments if segment.kind == "events"]


def is_whole(parts: list[tuple[Segment, BaselineHeader]]) -> bool:
    """Whether the parts of a baseline, in order, are all there."""
    return parts[-1][1].ends and [h.part for _, h in parts] == [*range(1, len(parts) + 1)]


def _baseline(number: int, parts: list[tuple[Segment, BaselineHeader]]) -> Baseline:
    (_, first), (_, last) = parts[0], parts[-1]
    return Baseline(
        number,
        layouts.load(first.layouts[first.layout]),
        first.layout,
        sum(header.count for _, header in parts),
        first.first_as_of,
        last.last_as_of,
        last.created_at,
        tuple(segment for segment, _ in parts),
    )


def _events(segment: Segment, after: int, up_to: int | None) -> Iterator[ArchivedEvent]:
    with segment.opened() as lines:
        tables = {n: layouts.load(text) for n, text in lines.header.layouts.items()}
        for line in lines:
            try:
                event = load_row(line)
                table = tables[event[LAYOUT]]
            except (ValueError, LookupError, TypeError) as error:
                raise segment.damaged("a line of it is no event") from error
            if event[SEQ] > after and (up_to is None or event[SEQ] <= up_to):
                missing = VALUES + len(table.columns) - len(event)
                yield ArchivedEvent(event + (None,) * missing, table)


def _chunks(segment: Segment) -> Iterator[BaselineChunk]:
    with segment.opened() as lines:
        width = len(layouts.load(lines.header.layouts[segment.baseline.layout]).columns)
        rows = iter(lines)
        for line in rows:
            try:
                chunk = orjson.loads(line)
                found = [_whole(load_row(next(rows, b"")), width) for _ in range(chunk["rows"])]
                after, place = load_place(chunk["after"]), load_place(chunk["place"])
                made = BaselineChunk(found, chunk["as_of"], after, place, chunk["last"])
            except (ValueError, LookupError, TypeError) as error:
                raise segment.damaged("a line of it is no chunk") from error
            yield made


def _whole(row: Line, width: int) -> Row:
    return row + (None,) * (width - len(row))


def load_place(text: str | None) -> Row | None:
    """A place of a chunk order, as `baseline.dump_place` wrote it."""
    return None if text is None else load_row(text.encode())
