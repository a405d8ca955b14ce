"""What an application writes to one file, done once more in a copy of it, as it is done.

The copy's own triggers fire, so the copy is written to as the file is. Its rows need not stay those
of the file: what the application's triggers do comes a second time, by the events that they left.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.errors import SourceError
from cdc.event import AT, LAYOUT, OP, ORIGIN, REVERSE_FLOW, SEQ, VALUES, Event, Op
from cdc.sqlite import freeze
from cdc.sqlite.captures import captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.rows import Bound
from cdc.sqlite.rowwriter import RowWriter

DAY_SECONDS: Final = 86_400.0

ONE_TRANSACTION_SECONDS: Final = 0.002
"""Events that follow each other as fast as that are taken for one transaction."""

SHORTEST_TIMEOUT_SECONDS: Final = 0.25
"""What the most impatient services wait for a lock."""


@dataclass(slots=True)
class Load:
    """What was written to a copy: `events` in `transactions`.

    `longest_wait_seconds` is the longest time that one of them took, waiting included, and
    `impatient` counts those that a service with the shortest timeout would have given up. `refused`
    counts events that the copy did not take, and `missed` those that were pruned before they were
    read.
    """

    events: int = 0
    transactions: int = 0
    longest_wait_seconds: float = 0.0
    impatient: int = 0
    refused: int = 0
    missed: int = 0


class Reenactment:
    """Follows the log of `file`, from behind `seq` on, in `copy`. For one thread.

    `seconds` bounds each read of the file.
    """

    def __init__(self, file: SourceFile, copy: SourceFile, seq: int, seconds: float) -> None:
        self.load = Load()
        self._file = file
        self._copy = copy
        self._seq = seq
        self._bound = Bound(seconds, 1_000)
        self._seen = -1
        with file.reading():
            self._changelog = Changelog(file)
            tables = captured(file)
        self._writers = {each.layout: RowWriter(copy, each) for each in tables}
        self._keys = {each.layout: each.source.table.key for each in tables}

    def step(self, wait: Wait) -> bool:
        """Do what was written since the last step; False where that was nothing.

        `wait` is how it waits for a lock, and may call it off. Nothing is done while the copy takes
        no writes.
        """
        version = self._file.data_version
        if version == self._seen or self._frozen():
            return False
        with self._file.reading():
            found = self._changelog.read(self._seq, self._bound)
        transactions = list(_transactions(found.events))
        if not found.complete and len(transactions) > 1:
            transactions.pop()  # the rest of it comes with the next read
        for events in transactions:
            self.load.missed += max(0, events[0][SEQ] - self._seq - 1)
            if not self._write(events, wait):
                return False
            self._seq = events[-1][SEQ]
        if found.complete:
            if found.events:
                self._seq = found.events[-1][SEQ]
            self._seen = version
        return bool(found.events)

    def _frozen(self) -> bool:
        with self._copy.reading():
            return freeze.read(self._copy) is not None

    def _write(self, events: Sequence[Event], wait: Wait) -> bool:
        """One transaction; False where the copy has ceased to take writes."""
        started = time.monotonic()
        try:
            refused = self._copy.write(lambda: self._apply(events), wait=wait)
        except SourceError:
            if self._frozen():
                return False
            raise
        seconds = time.monotonic() - started
        load = self.load
        load.events += len(events)
        load.transactions += 1
        load.refused += refused
        load.impatient += seconds > SHORTEST_TIMEOUT_SECONDS
        load.longest_wait_seconds = max(load.longest_wait_seconds, seconds)
        return True

    def _apply(self, events: Sequence[Event]) -> int:
        """Write what a transaction wrote, in its order; how many events the copy did not take."""
        known = [event for event in events if event[LAYOUT] in self._writers]
        return sum(not self._applied(known, at) for at in range(len(known)))

    def _applied(self, events: Sequence[Event], at: int) -> bool:
        try:
            self._apply_one(events[at])
        except apsw.ConstraintError as error:
            if "cdc froze" in str(error):
                raise
        else:
            return True
        # A REPLACE has logged the row that it made before those that it removed.
        for event in events[at + 1 :]:
            if event[OP] == Op.EVICT:
                self._apply_one(event)
        try:
            self._apply_one(events[at])
        except apsw.ConstraintError:
            return False
        return True

    def _apply_one(self, event: Event) -> None:
        layout = event[LAYOUT]
        writer = self._writers[layout]
        key = tuple(event[VALUES + i] for i in self._keys[layout])
        if event[OP] in Op.GONE:
            writer.delete(key)
            return
        values = {i: event[VALUES + i] for i in writer.writable}
        if writer.row(key) is None:
            writer.insert(values)
        else:
            writer.update(key, values)


def _transactions(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events of the application in what were about its transactions, by their times."""
    found: list[Event] = []
    for event in events:
        if event[ORIGIN] == REVERSE_FLOW:
            continue
        if found and (event[AT] - found[-1][AT]) * DAY_SECONDS > ONE_TRANSACTION_SECONDS:
            yield found
            found = []
        found.append(event)
    if found:
        yield found
