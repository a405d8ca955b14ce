"""The events of one source in commit order, as far back as they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from cdc.config import Config, SourceConfig
from cdc.errors import SourceReplaced, SourceUnavailable
from cdc.event import AT, SEQ, Event, digest
from cdc.replay.shapes import Shapes, read_shapes
from cdc.sqlite import log, surroundings
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.log import Position
from cdc.sqlite.rows import Bound

READ_EVENTS: Final = 10_000
"""Most events that one read brings."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The oldest event that is kept: its seq, and its time (a Julian day)."""

    seq: int
    at: float | None


class EventReader:
    """Reads the events behind `after`, forward. For one thread at a time.

    `lock_bound` is in seconds, for one read. A file whose log is not the one that the reading began
    with, or does not hold the event that was read last, raises SourceReplaced.
    """

    def __init__(self, source: SourceConfig, lock_bound: float, *, after: int = 0) -> None:
        self.source = source
        self.after = after
        self._bound = Bound(lock_bound / 2, READ_EVENTS)
        self._last: Position | None = None
        self._file = self._opened()
        with self._file.reading():
            self._log = self._own_log()
        self._look()

    def _opened(self) -> SourceFile:
        surroundings.check_owner(self.source.path)
        return SourceFile(self.source.path)

    def _own_log(self) -> str:
        own = log.read(self._file)
        if own is None:
            raise SourceUnavailable(
                f"{self.source.path} has no changelog: its changes are not recorded.",
                hint=f"cdc install --source {self.source.name} puts the capture into the file.",
            )
        return own.id

    def _look(self) -> None:
        """See what the log's columns and layouts are now."""
        with self._file.reading():
            self._schema_version = self._file.schema_version
            self._changelog = Changelog(self._file)
            self.shapes: Shapes = read_shapes(self._file)

    @property
    def file(self) -> SourceFile:
        """The open file, for what else is asked of it."""
        return self._file

    @property
    def log_id(self) -> str:
        """The id of the log that is read."""
        return self._log

    def start_after(self, seq: int) -> None:
        """Go on with the event behind `seq`, wherever the reading stood."""
        self.after = seq
        self._last = None

    def beginning(self) -> Beginning | None:
        """The oldest event that is kept, None without any."""
        with self._file.reading():
            first = self._changelog.read(0, Bound(self._bound.seconds, 1)).events
        return Beginning(first[0][SEQ], first[0][AT]) if first else None

    def is_at_end(self) -> bool:
        """Whether all events are read; for use within a read transaction."""
        return self._changelog.newest() <= self.after

    def newest(self) -> int:
        """The seq of the newest event, 0 without any."""
        with self._file.reading():
            return self._changelog.newest()

    def read(self, up_to: int | None = None) -> list[Event]:
        """The next events, up to and with `up_to` or the newest; none where there are no more."""
        if self._file.replaced:
            self._reopen()
        while (events := self._read(up_to)) is None:
            self._look()
        if events:
            self.after = events[-1][SEQ]
            self._last = Position(self.after, digest(events[-1]), events[-1][AT])
        return events

    def _read(self, up_to: int | None) -> list[Event] | None:
        """What one short read brings, None where the schema has changed."""
        with self._file.reading():
            if self._file.schema_version != self._schema_version:
                return None
            self._check_continues()
            return self._changelog.read(self.after, self._bound, up_to=up_to).events

    def _reopen(self) -> None:
        self._file.close()
        self._file = self._opened()
        self._look()

    def _check_continues(self) -> None:
        if self._own_log() == self._log and (
            self._last is None or self._changelog.holds(self._last)
        ):
            return
        raise SourceReplaced(
            f"{self.source.path} is not the file any more that was read up to event {self.after}.",
            hint="It was restored or replaced. Start again to read the file as it is now.",
        )

    def close(self) -> None:
        """Let go of the file; harmless when that is done already."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def sources_of(config: Config, source: str | None) -> Sequence[SourceConfig]:
    """The sources that a command speaks of: the one of that name, or all."""
    return config.sources if source is None else [config.source(source)]
