"""Reading events in commit order."""

from dataclasses import dataclass
from typing import Final

from cdc.event import AT, SEQ, Event, digest
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.log import Position, changelog_columns
from cdc.sqlite.names import CHANGELOG
from cdc.sqlite.rows import Bound, read_rows

ONE: Final = Bound(seconds=1.0, rows=1)


@dataclass(frozen=True, slots=True)
class Events:
    """Consecutive events. `complete` when nothing committed lay behind the last one at the time
    of reading: then their end is a committed boundary of the legacy system. `size` is about how
    many bytes of text and blob they hold.
    """

    events: list[Event]
    complete: bool
    size: int

    @property
    def end(self) -> Position:
        """The position of the last event; there must be one."""
        last = self.events[-1]
        return Position(last[SEQ], digest(last), last[AT])


class Changelog:
    """The changelog of one open file. SQLite's order of seq is its order of commits."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.columns = changelog_columns(file)

    def read(self, after: int, bound: Bound, *, up_to: int | None = None) -> Events:
        """The events behind `after`, up to and with `up_to` or the newest, within the bound.

        For use within a read transaction.
        """
        if up_to is None:
            rest, bindings = f"FROM {CHANGELOG} WHERE seq > ? ORDER BY seq", (after,)
        else:
            rest = f"FROM {CHANGELOG} WHERE seq > ? AND seq <= ? ORDER BY seq"
            bindings = (after, up_to)  # type: ignore[assignment]
        found = read_rows(self._file, self.columns, rest, bindings, bound)
        return Events(found.rows, found.complete, found.size)

    def holds(self, position: Position) -> bool:
        """Whether the event at the position is still the one that it was; true at the beginning."""
        if position.seq == 0:
            return True
        at = (position.seq,)
        found = read_rows(self._file, self.columns, f"FROM {CHANGELOG} WHERE seq = ?", at, ONE).rows
        return bool(found) and digest(found[0]) == position.digest

    def newest(self) -> int:
        """The highest seq, 0 when the log is empty."""
        return int(self._file.query(f"SELECT coalesce(max(seq), 0) FROM {CHANGELOG}").get)

    def time_of_first_after(self, seq: int) -> float | None:
        """When the oldest event behind `seq` was made (Julian day), or None if there is none."""
        at = self._file.query(
            f"SELECT at FROM {CHANGELOG} WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)
        ).get
        return None if at is None else float(at)
