"""Reading events in commit order."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdc.event import AT, SEQ, Event, digest
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.log import Position, changelog_columns
from cdc.sqlite.names import CHANGELOG
from cdc.sqlite.rows import Bound, read_rows

ONE: Final = Bound(seconds=1.0, rows=1)

MOST_LOOKED_AT: Final = 50_000
"""Events that are looked at in one go, well within the lock bound."""

SHORTEST_STRETCH: Final = 1000
"""Events; with fewer than these at hand it is not worth while to look for the last of each key."""


@dataclass(frozen=True, slots=True)
class Events:
    """Consecutive events, `count` of them, the oldest from `oldest_at` (Julian day).

    `events` may lack those that a later one among them, of the same key, has made of no account.
    `complete` when nothing committed lay behind the last one at the time of reading: then their end
    is a committed boundary of the legacy system. `size` is about how many bytes of text and blob
    they hold.
    """

    events: list[Event]
    complete: bool
    size: int
    count: int
    oldest_at: float | None

    @property
    def end(self) -> Position:
        """The position of the last event; there must be one."""
        last = self.events[-1]
        return Position(last[SEQ], digest(last), last[AT])

    def joined(self, more: "Events") -> "Events":
        """These and the ones right behind them."""
        return Events(
            self.events + more.events,
            more.complete,
            self.size + more.size,
            self.count + more.count,
            more.oldest_at if self.oldest_at is None else self.oldest_at,
        )


class Changelog:
    """The changelog of one open file. SQLite's order of seq is its order of commits.

    `keys` tells for each layout that matters where among the values of an event the key is; None
    where two keys may be equal to SQLite, but for the collation, and not to the target.
    """

    def __init__(
        self, file: SourceFile, keys: Mapping[int, tuple[int, ...] | None] | None = None
    ) -> None:
        self._file = file
        self.columns = changelog_columns(file)
        self._same_key = _same_key(keys or {})
        self._stretch = SHORTEST_STRETCH

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
        oldest_at = found.rows[0][AT] if found.rows else None
        return Events(found.rows, found.complete, found.size, len(found.rows), oldest_at)

    def read_last(self, after: int, bound: Bound, *, up_to: int | None = None) -> Events:
        """As `read`, but of many events of one key only the last: SQLite finds it much faster.

        How long that takes is known only afterwards, so the stretch of the log grows while it goes
        well. Where it does not fit into the bound, there are no events; `read` them.
        """
        end = self.newest() if up_to is None else up_to
        last = min(end, after + min(self._stretch, bound.rows))
        rest = (
            f"FROM {CHANGELOG} WHERE seq IN (SELECT max(seq) FROM {CHANGELOG}"
            f" WHERE seq > ? AND seq <= ? GROUP BY {self._same_key}) ORDER BY seq"
        )
        started = time.monotonic()
        found = read_rows(self._file, self.columns, rest, (after, last), bound)
        seconds = time.monotonic() - started
        if not found.complete and (not found.rows or found.rows[-1][SEQ] < last):
            self._stretch = max(self._stretch // 2, SHORTEST_STRETCH)
            return Events([], complete=False, size=0, count=0, oldest_at=None)
        if seconds * 3 < bound.seconds:
            self._stretch *= 2
        oldest_at = self.time_of_first_after(after)
        # Behind a position the log has no holes: only what lies before it is pruned.
        return Events(found.rows, last == end, found.size, last - after, oldest_at)

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

    def first(self) -> int:
        """The lowest seq that is left, 0 when the log is empty; those before it were pruned."""
        return int(self._file.query(f"SELECT coalesce(min(seq), 0) FROM {CHANGELOG}").get)

    def end(self) -> Position:
        """The position of the newest event; at the beginning where there is none."""
        found = self.read(self.newest() - 1, ONE)
        return found.end if found.events else Position(0, b"")

    def is_silent(self, layout: int, since: Position) -> bool:
        """Whether surely no event behind `since` has this layout. It is not sure where that event
        was pruned, is another one, as after a restore, or has too many behind it to look at all.
        """
        behind = self.newest() - since.seq
        pruned = not since.seq and self.first() > 1
        if pruned or not self.holds(since) or not 0 <= behind <= MOST_LOOKED_AT:
            return False
        found = self._file.query(
            f"SELECT EXISTS (SELECT 1 FROM {CHANGELOG} WHERE seq > ? AND layout = ?)",
            (since.seq, layout),
        )
        return not found.get

    def last_before(self, at: float) -> int:
        """The last event that was made before `at` (Julian day); the one before the first if none.

        Times grow with seq, as far as nobody sets the clock back, so it is found in a few steps.
        """
        low, high = self.first() - 1, self.newest()
        while low < high:
            middle = (low + high + 1) // 2
            made = self.time_of_first_after(middle - 1)
            if made is not None and made < at:
                low = middle
            else:
                high = middle - 1
        return max(low, 0)

    def time_of_first_after(self, seq: int) -> float | None:
        """When the oldest event behind `seq` was made (Julian day), or None if there is none."""
        at = self._file.query(
            f"SELECT at FROM {CHANGELOG} WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)
        ).get
        return None if at is None else float(at)


def _same_key(keys: Mapping[int, tuple[int, ...] | None]) -> str:
    """The terms that are equal for events of one key."""
    terms = ["layout", "origin"]
    if loose := [str(layout) for layout, key in keys.items() if key is None]:
        terms.append(f"CASE WHEN layout IN ({', '.join(loose)}) THEN seq END")
    sure = {layout: key for layout, key in keys.items() if key is not None}
    for place in range(max(map(len, sure.values()), default=0)):
        columns = {
            layout: f"v{key[place]}" if place < len(key) else "NULL" for layout, key in sure.items()
        }
        if len(set(columns.values())) == 1:
            terms.append(next(iter(columns.values())))
        else:
            cases = " ".join(f"WHEN {layout} THEN {name}" for layout, name in columns.items())
            terms.append(f"CASE layout {cases} END")
    return ", ".join(terms)
