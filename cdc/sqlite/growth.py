"""How fast a file's changelog grows, told from its newest events alone."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cdc.event import VALUES, unix_seconds
from cdc.sqlite import layouts
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import CHANGELOG

RATE_EVENTS: Final = 1_000
"""So many of the newest events tell how often one comes, until now: a file at rest slows down."""

SIZE_EVENTS: Final = 100
"""So many tell how large one is."""

OVERHEAD_BYTES: Final = 30
"""What SQLite needs for an event beside its texts and blobs, and a byte or more for each value."""


@dataclass(frozen=True, slots=True)
class Growth:
    """`newest` is the last event; `oldest_waiting_at` (Julian day) the time of the first one that
    is not applied, None without one. `shares` tells which tables the newest events are of, by their
    part of the size, the largest first.
    """

    newest: int
    oldest_waiting_at: float | None
    events_per_second: float
    bytes_per_event: float
    shares: tuple[tuple[str, float], ...] = ()


def growth(file: SourceFile, applied: int) -> Growth:
    """The growth of the log of a file that was applied up to `applied`, in a short read."""
    with file.reading():
        changelog = Changelog(file)
        newest = changelog.newest()
        if newest == 0:
            return Growth(0, None, 0.0, 0.0)
        begin = max(changelog.first(), newest - RATE_EVENTS + 1)
        began_at = changelog.time_of_first_after(begin - 1)
        values = changelog.columns[VALUES:]
        size = " + ".join(f"coalesce(octet_length({v}), 0) + 1" for v in values) or "0"
        size += f" + {OVERHEAD_BYTES}"
        sample = f"FROM {CHANGELOG} WHERE seq > ?"
        mean = file.query(f"SELECT avg({size}) {sample}", (newest - SIZE_EVENTS,)).get
        names = {layout: table.name for layout, table in layouts.read(file).items()}
        by_layout = f"SELECT layout, sum({size}) {sample} GROUP BY layout"
        sizes = [
            (names.get(layout, ""), int(bytes_))
            for layout, bytes_ in file.query(by_layout, (newest - RATE_EVENTS,))
        ]
        waiting_at = changelog.time_of_first_after(applied)
    seconds = max(1.0, time.time() - unix_seconds(began_at)) if began_at is not None else 1.0
    rate = (newest - begin + 1) / seconds
    return Growth(newest, waiting_at, rate, mean or 0.0, _shares(sizes))


def _shares(sizes: Iterable[tuple[str, int]]) -> tuple[tuple[str, float], ...]:
    """The part of each table; it may have several sizes, one for each of its layouts."""
    tables: dict[str, int] = {}
    for name, size in sizes:
        tables[name] = tables.get(name, 0) + size
    total = sum(tables.values())
    shares = ((name, size / total) for name, size in tables.items())
    return tuple(sorted(shares, key=lambda share: -share[1]))
