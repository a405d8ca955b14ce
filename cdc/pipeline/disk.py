"""How long the disks last while PostgreSQL takes nothing and every write adds to a changelog."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.event import unix_seconds
from cdc.sqlite import direction, log, surroundings
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile, is_there, look_at
from cdc.sqlite.growth import Growth, growth

WAITING_SECONDS: Final = 60.0
"""With its oldest event waiting for so long a changelog counts as one that only grows; otherwise
what is pruned makes room for what comes."""

HOUR_SECONDS: Final = 3_600.0

MOST: Final = 0.8
"""Tables that together make so much of the growth are the ones to look at."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The disk of one source.

    `waiting_events` are not applied yet, about `waiting_bytes` large, the oldest `waiting_seconds`
    old. `bytes_per_hour` is what the changelog grows by now. `seconds_left` is how long the disk
    lasts, with all the sources on it, until less than min_free_disk_mb is free; None while it does
    not fill. `shares` tells which tables make it grow, each with its part, the largest first.
    """

    free_mb: int
    waiting_events: int
    waiting_bytes: int
    waiting_seconds: float
    bytes_per_hour: float
    seconds_left: float | None = None
    shares: tuple[tuple[str, float], ...] = ()

    @property
    def largest(self) -> str:
        """The tables that make most of the growth, for people.

        >>> Outlook(0, 0, 0, 0, 0, shares=(("fills", 0.85), ("trades", 0.1), ("x", 0.05))).largest
        'fills (85 %)'
        """
        named, part = [], 0.0
        for name, share in self.shares:
            named.append(f"{name} ({share:.0%})".replace("%", " %"))
            part += share
            if part >= MOST:
                break
        return ", ".join(named)


def outlooks(config: Config, applied: Mapping[str, int]) -> dict[str, Outlook]:
    """The outlook of each source in `applied`, which says how far each is applied, by name.

    Raises SourceError where a file cannot be read.
    """
    found: dict[str, Outlook] = {}
    disks: dict[int, list[str]] = defaultdict(list)
    for source in config.sources:
        if source.name in applied:
            device = look_at(source.path).st_dev
            found[source.name] = _outlook(source, applied[source.name])
            disks[device].append(source.name)
    least = config.replication.min_free_disk_mb
    for names in disks.values():
        per_hour = sum(found[name].bytes_per_hour for name in names)
        if per_hour > 0:
            for name in names:
                room = max(0, found[name].free_mb - least) * 1_000_000
                found[name] = replace(found[name], seconds_left=room / per_hour * HOUR_SECONDS)
    return found


def _outlook(source: SourceConfig, applied: int) -> Outlook:
    free = surroundings.free_mb(source.path)
    with SourceFile(source.path) as file:
        with file.reading():
            own = log.read(file)
        now = growth(file, applied) if own else Growth(0, None, 0.0, 0.0)
    waiting = max(0, now.newest - applied)
    at = now.oldest_waiting_at
    seconds = 0.0 if at is None else max(0.0, time.time() - unix_seconds(at))
    grows = now.events_per_second * now.bytes_per_event * HOUR_SECONDS
    return Outlook(
        free_mb=free,
        waiting_events=waiting,
        waiting_bytes=int(waiting * now.bytes_per_event),
        waiting_seconds=seconds,
        bytes_per_hour=grows if seconds > WAITING_SECONDS else 0.0,
        shares=now.shares,
    )


def all_there_is(config: Config) -> dict[str, int]:
    """For `outlooks`, where PostgreSQL does not tell: as if nothing in the files were applied.

    That is the most that may wait; but where the rows come from PostgreSQL nothing does.
    """
    found = {}
    for source in config.sources:
        if is_there(source.path):
            with SourceFile(source.path) as file, file.reading():
                if log.read(file) is not None:
                    changelog = Changelog(file)
                    back = direction.read(file) is not None
                    found[source.name] = changelog.newest() if back else changelog.first() - 1
    return found
