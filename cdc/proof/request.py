"""What is asked of a proof."""

from dataclasses import dataclass
from datetime import timedelta

from cdc.constraints import folded


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be proven: all sources and tables, unless some are named.

    `full` rests on nothing that was proven before; otherwise a range may be `max_age` old, and the
    oldest ones are compared anew, so many that they hold `renew` of a table's rows. The proof works
    for no more than `share` of the time where that is given, and ends when another waits where it
    `yields`. A table that can only be compared whole is so once in a `turn`.
    """

    full: bool = False
    source: str | None = None
    table: str | None = None
    max_age: timedelta = timedelta(days=7)
    renew: float = 0.0
    turn: timedelta = timedelta.max
    share: float | None = None
    yields: bool = False

    def has(self, table: str) -> bool:
        """Whether a table is to be proven; SQLite's names are case-insensitive."""
        return self.table is None or folded(self.table) == folded(table)

    @property
    def whole(self) -> bool:
        """Whether every table of a source is looked at."""
        return self.table is None
