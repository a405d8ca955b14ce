"""All that is kept of one source: its archive, and what its file still holds."""

import math
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from cdc.archive.reader import Archive, open_archive
from cdc.archive.rows import load_row
from cdc.archive.segment import Segment
from cdc.config import Config, SourceConfig
from cdc.errors import SourceUnavailable
from cdc.event import (
    AT,
    JULIAN_DAY_OF_UNIX_EPOCH,
    ORIGIN,
    REVERSE_FLOW,
    SEQ,
    VALUES,
    Event,
    digest,
)
from cdc.replay.lives import Life, lives
from cdc.replay.reader import EventReader
from cdc.replay.scan import ArchiveScan
from cdc.sqlite import layouts
from cdc.sqlite.captures import stored_captures
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.layouts import Record
from cdc.sqlite.log import Position

DAY_SECONDS: Final = 86_400.0


class Store:
    """One source's changelog, archived and live, as of when it was opened. For one thread.

    `newest` is the last event; where there is a file, nothing that was committed then lies behind
    it. `missing` says why there is none, "" where there is. `records` are the layouts by id.
    """

    def __init__(self, source: SourceConfig, archive: Archive, reader: EventReader | None) -> None:
        self.source = source
        self.archive = archive
        self.reader = reader
        self.missing = ""
        self.records: Mapping[int, Record] = archive.records()
        self.newest = archive.last_seq
        self._first_live = 0
        self._lines: tuple[Segment, list[bytes]] | None = None
        self.scan = ArchiveScan(source.name, self.lines)
        captured = None
        if reader is not None:
            with reader.file.reading():
                own = layouts.read_definitions(reader.file)
                self.records = dict(self.records) | {
                    layout: layouts.load_record(text) for layout, text in own.items()
                }
                captured = {each.layout for each in stored_captures(reader.file)}
                changelog = Changelog(reader.file)
                self.newest, self._first_live = changelog.newest(), changelog.first()
        self.captured = captured
        self.lives: list[Life] = lives(self.records, captured, archive.baselines())

    @property
    def log_id(self) -> str:
        return self.archive.log

    @property
    def archived(self) -> int:
        """The newest event that is in the archive, 0 without any."""
        return self.archive.last_seq

    @property
    def live_from(self) -> int:
        """The event behind which a replay would read the file, as far as that holds any."""
        return max(self.archived, self._first_live - 1)

    @property
    def is_whole(self) -> bool:
        """Whether the archive and the file together have no gap between them."""
        return not self._first_live or not self.archived or self._first_live <= self.archived + 1

    @property
    def is_there(self) -> bool:
        """Whether the archive still begins as it did when it was opened: the oldest goes first."""
        return all(segment.path.exists() for segment in self.archive.chain.segments[:1])

    def expect_replay(self) -> None:
        """Have what will look through the archive get ready, while others plan."""
        self.scan.start([each for each in self.archive.chain.segments if each.kind == "events"])

    def has(self, after: int, up_to: int) -> bool:
        """Whether every event behind `after`, up to `up_to`, is kept."""
        if after >= up_to:
            return True
        if self.archived:
            end = self.newest if self.is_whole else self.archived
            if self.archive.first_seq <= after + 1 and up_to <= end:
                return True
        return 0 < self._first_live <= after + 1

    def event(self, seq: int) -> Event | None:
        """One event, as far as it is kept; without the NULLs at its end."""
        for segment in self.segments(seq - 1, seq):
            return load_row(self.lines(segment)[seq - segment.events.first])
        if self.reader is None or not 0 < self._first_live <= seq:
            return None
        self.reader.start_after(seq - 1)
        return next(iter(self.reader.read(seq)), None)

    def position(self, seq: int) -> Position | None:
        """A place in the log by its number, None where its event is not kept."""
        if seq == 0:
            return Position(0, b"")
        event = self.event(seq)
        return None if event is None else Position(seq, digest(event), event[AT])

    def segments(self, after: int, up_to: int) -> list[Segment]:
        """The segments that hold events behind `after`, up to `up_to`, in order."""
        return [
            segment
            for segment in self.archive.chain.segments
            if segment.kind == "events"
            and segment.events.last > after
            and segment.events.first <= up_to
        ]

    def lines(self, segment: Segment) -> list[bytes]:
        """The lines of a segment of events, one for each, found to be what was written."""
        if self._lines is None or self._lines[0] is not segment:
            self._lines = (segment, segment.lines())
        return self._lines[1]

    def has_returns(self, after: int) -> bool:
        """Whether a row came from PostgreSQL, by the way back, behind an event."""
        mark = str(REVERSE_FLOW).encode()
        for segment in self.segments(after, self.newest):
            first = segment.events.first
            for line in self.lines(segment)[max(0, after + 1 - first) :]:
                if line.split(b",", VALUES)[ORIGIN].rstrip(b"]") == mark:
                    return True
        if self.reader is None:
            return False
        self.reader.start_after(max(after, self.archived))
        while events := self.reader.read(self.newest):
            if any(event[ORIGIN] == REVERSE_FLOW for event in events):
                return True
        return False

    def last_until(self, instant: datetime) -> int:
        """The last event before the first that was made after an instant."""
        # The next number that a clock can show.
        day = instant.timestamp() / DAY_SECONDS + JULIAN_DAY_OF_UNIX_EPOCH
        bound = math.nextafter(day, math.inf)
        for segment in self.segments(0, self.newest):
            if segment.events.last_at >= bound:
                for line in self.lines(segment):
                    event = load_row(line)
                    if isinstance(event[AT], float) and event[AT] >= bound:
                        return int(event[SEQ]) - 1
        if self.reader is None:
            return self.archived
        with self.reader.file.reading():
            return max(Changelog(self.reader.file).last_before(bound), self.archived)

    def close(self) -> None:
        """Let go of the file, and of what was to look through the archive."""
        self.scan.close()
        if self.reader is not None:
            self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_store(config: Config, source: SourceConfig) -> Store:
    """What is kept of a source. Without its file the archive alone counts, if there is one."""
    directory = config.archive_directory
    try:
        reader = EventReader(source, config.replication.lock_bound_ms / 1000)
    except SourceUnavailable as error:
        archive = open_archive(directory, source.name)
        if not archive.chain.segments:
            raise
        archive.chain.check_unbroken()
        store = Store(source, archive, None)
        store.missing = str(error)
        return store
    try:
        archive = open_archive(directory, source.name, reader.log_id)
        archive.chain.check_unbroken()
        return Store(source, archive, reader)
    except BaseException:
        reader.close()
        raise
