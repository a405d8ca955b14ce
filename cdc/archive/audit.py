"""Looking at a whole chain: each segment that is damaged, missing, or does not belong is named."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdc.archive.chain import UNFINISHED, Chain
from cdc.archive.ends import Ends
from cdc.archive.rows import load_row
from cdc.archive.segment import BaselineHeader, EventsHeader, Segment, unusable
from cdc.errors import ArchiveDamaged, SegmentGone
from cdc.event import LAYOUT, SEQ

What = Literal["damaged", "missing", "foreign", "unsure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: with segment `number` (None where it has none), in the file `path` if there
    is one. `what`: its bytes are not what was written, it is not there, it does not belong there.
    `unsure`: PostgreSQL knows nothing of the chain, so that nobody can tell whether it is complete.
    """

    what: What
    number: int | None
    path: Path | None
    words: str


def audit(chain: Chain, known: Ends | None) -> Iterator[Finding]:
    """Read every segment of a chain, and yield what is wrong with it, in the chain's order.

    `known` is what PostgreSQL remembers of it.
    """
    yield from _strangers(chain)
    if known is None and chain.segments:
        words = "PostgreSQL has no record of this chain: whether its ends are missing is not known"
        yield Finding("unsure", None, chain.directory, words)
    by_number: dict[int, list[Segment]] = {}
    for segment in chain.segments:
        by_number.setdefault(segment.number, []).append(segment)
    numbers = [*by_number]
    if known is not None and known.first_number is not None and known.last_number is not None:
        numbers += [known.first_number, known.last_number]
    look = _Look(chain, known)
    for number in range(min(numbers, default=1), max(numbers, default=0) + 1):
        found = by_number.get(number, [])
        if not found:
            yield Finding("missing", number, None, f"segment {number} is missing")
            look.skip()
        for segment in found:
            yield from look.at(segment)


class _Look:
    """Goes along a chain; remembers what the next segment has to continue."""

    def __init__(self, chain: Chain, known: Ends | None) -> None:
        self._chain = chain
        self._known = known
        self._previous: str | None = None
        if known is not None and chain.segments:
            first = chain.segments[0].number == known.first_number
            self._previous = known.first_previous if first else None
        self._seq: int | None = None

    def skip(self) -> None:
        """A segment is missing: anything may follow."""
        self._previous = self._seq = None

    def at(self, segment: Segment) -> Iterator[Finding]:
        """Look at the next segment."""
        known = self._known
        try:
            header = _read(segment)
        except SegmentGone:
            yield Finding("missing", segment.number, segment.path, "it has just gone")
            self.skip()
            return
        except ArchiveDamaged as error:
            yield Finding("damaged", segment.number, segment.path, str(error))
            self._previous, self._seq = segment.digest, None
            return
        for words in self._wrong(segment, header):
            yield Finding("foreign", segment.number, segment.path, words)
        if known and segment.number == known.last_number and segment.digest != known.last_digest:
            words = "it is not the segment that PostgreSQL remembers under this number"
            yield Finding("foreign", segment.number, segment.path, words)
        self._previous = segment.digest
        if isinstance(header, EventsHeader):
            self._seq = header.last

    def _wrong(self, segment: Segment, header: EventsHeader | BaselineHeader) -> Iterator[str]:
        if header.number != segment.number:
            yield f"it was written as segment {header.number}"
        if (header.source, header.log) != (self._chain.source, self._chain.log):
            yield f"it is of source {header.source}, log {header.log}"
        if self._previous is not None and header.previous != self._previous:
            yield "it does not follow the segment before it"
        if isinstance(header, EventsHeader) and self._seq not in (None, header.first - 1):
            yield f"it begins at event {header.first}, behind event {self._seq}"


def _read(segment: Segment) -> EventsHeader | BaselineHeader:
    """The header, when all of the segment was read and is what the header says."""
    with segment.opened() as lines:
        header = lines.header
        if isinstance(header, EventsHeader):
            count, seq = 0, header.first - 1
            for line in lines:
                row = _row(segment, line)
                count, seq = count + 1, seq + 1
                if row[SEQ] != seq or row[LAYOUT] not in header.layouts:
                    raise segment.damaged(f"event {seq} is not where it should be")
            if (count, seq) != (header.count, header.last):
                raise segment.damaged(f"it holds {count} events, not {header.count}")
        else:
            count = sum(line.startswith(b"[") for line in lines)
            if count != header.count:
                raise segment.damaged(f"it holds {count} rows, not {header.count}")
    return header


def _row(segment: Segment, line: bytes) -> tuple[object, ...]:
    try:
        row = load_row(line)
        return row if len(row) > LAYOUT else (None,) * (LAYOUT + 1)
    except (ValueError, TypeError) as error:
        raise segment.damaged("a line of it is no event") from error


def _strangers(chain: Chain) -> Iterator[Finding]:
    try:
        paths = sorted(chain.directory.iterdir()) if chain.directory.is_dir() else []
    except OSError as error:
        raise unusable(chain.directory, error) from error
    for path in paths:
        # A segment that the chain does not have was added since it was looked at.
        if Segment.of(path) is None and path.name != UNFINISHED:
            yield Finding("foreign", None, path, "it is no segment")
