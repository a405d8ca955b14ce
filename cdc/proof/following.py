"""The keys that changed while a proof looks: what the target may not have yet, or have already.

A proof compares the target at a position P with the file at a later moment S. Between the two lie
events; their keys are *in flight*, and say nothing. Each is *owed* until it was compared after all.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cdc.errors import CdcError
from cdc.event import LAYOUT, OP, SEQ, VALUES, Event, Op
from cdc.proof.target import ProvenTable, TargetRow
from cdc.schema import Key, Row
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.rows import Bound

MOST_EVENTS: Final = 500_000
"""Events between the target and the file; with more of them a proof would rather wait."""


class TooFarBehind(CdcError):
    """So much is in flight that there is no sense in a proof now."""

    exit_code = 1


class LogGone(CdcError):
    """Events that the proof needs are not in the log any more: take the pair again."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a key at `seq`: its row, or None where it has none any more."""

    seq: int
    key: Key
    row: Row | None


Form = TargetRow
"""A key in the form in which keys are compared."""


class Following:
    """Reads the log of one open file from `after` on, and keeps what happened to each key.

    `tables` are the tables of interest by the layout of their events.
    """

    def __init__(
        self, file: SourceFile, tables: Mapping[int, ProvenTable], after: int, lock_bound: float
    ) -> None:
        self._file = file
        self._changelog = Changelog(file)
        self._tables = tables
        self._seq = after
        self._bound = Bound(lock_bound, 50_000)
        self._changes: dict[int, dict[Form, deque[Change]]] = {layout: {} for layout in tables}
        self._order: deque[tuple[int, int, Form]] = deque()
        self._owed: dict[int, dict[Form, Key]] = {layout: {} for layout in tables}
        self._forgotten = after

    def catch_up(self) -> None:
        """Read to the end of the log, in as many short transactions as that takes."""
        while True:
            with self._file.reading():
                if self._read():
                    return

    def is_at_end(self) -> bool:
        """Within a read transaction: read on, and say whether that was all there is to read."""
        return self._read()

    def _read(self) -> bool:
        found = self._changelog.read(self._seq, self._bound)
        if found.events and found.events[0][SEQ] != self._seq + 1:
            raise LogGone(f"the log of {self._file.path} does not reach back to {self._seq + 1}")
        for event in found.events:
            self._note(event)
        if found.events:
            self._seq = found.events[-1][SEQ]
        if len(self._order) > MOST_EVENTS:
            raise TooFarBehind(
                f"{self._file.path}: PostgreSQL is more than {MOST_EVENTS:,} events behind.",
                hint="Let cdc run catch up first; cdc lag shows how far it is.",
            )
        return found.complete

    def _note(self, event: Event) -> None:
        table = self._tables.get(event[LAYOUT])
        if table is None:
            return
        layout, seq = event[LAYOUT], event[SEQ]
        row = event[VALUES : VALUES + len(table.mapped.source.columns)]
        key = tuple(row[i] for i in table.mapped.key)
        form = table.key_forms(key)
        gone = event[OP] in Op.GONE
        self._changes[layout].setdefault(form, deque()).append(
            Change(seq, key, None if gone else row)
        )
        self._order.append((seq, layout, form))

    def forget(self, position: int) -> None:
        """Let go of what the target has applied; of owed keys the last change up to there stays."""
        self._forgotten = max(self._forgotten, position)
        while self._order and self._order[0][0] <= position:
            _, layout, form = self._order.popleft()
            self._trim(layout, form)

    def _trim(self, layout: int, form: Form) -> None:
        changes = self._changes[layout].get(form)
        if changes is None:
            return
        while len(changes) > 1 and changes[1].seq <= self._forgotten:
            changes.popleft()
        settled = form not in self._owed[layout]
        if settled and len(changes) == 1 and changes[0].seq <= self._forgotten:
            del self._changes[layout][form]

    def in_flight(self, layout: int, form: Form, position: int) -> bool:
        """Whether a key changed behind `position`."""
        changes = self._changes[layout].get(form)
        return changes is not None and changes[-1].seq > position

    def owe(self, layout: int, form: Form, key: Key) -> None:
        """Note that a key is still to be compared."""
        self._owed[layout][form] = key

    def owed(self, layout: int) -> dict[Form, Key]:
        """The keys of a table that are still to be compared."""
        return dict(self._owed[layout])

    def settle(self, layout: int, form: Form) -> None:
        """Note that a key was compared."""
        del self._owed[layout][form]
        self._trim(layout, form)

    def at(self, layout: int, form: Form, position: int) -> Change | None:
        """What became of a key last, up to `position`; None where it only changed behind it."""
        changes = self._changes[layout].get(form, ())
        return next((each for each in reversed(changes) if each.seq <= position), None)


class OnTheWay:
    """In the place of a `Following` while PostgreSQL is master: any row may be on its way back, so
    each that differs is owed.
    """

    def __init__(self, layouts: Iterable[int]) -> None:
        self._owed: dict[int, dict[Form, Key]] = {layout: {} for layout in layouts}

    def catch_up(self) -> None:
        """There is no log to read."""

    def is_at_end(self) -> bool:
        """Whether nothing is left to read."""
        return True

    def forget(self, position: int) -> None:
        """Nothing is kept."""

    def in_flight(self, layout: int, form: Form, position: int) -> bool:  # noqa: ARG002  (as Following's)
        """Nobody can tell: who compares has to owe what differs."""
        return False

    def at(self, layout: int, form: Form, position: int) -> Change | None:  # noqa: ARG002  (as Following's)
        """No earlier state of a row is known."""
        return None

    def owe(self, layout: int, form: Form, key: Key) -> None:
        """Note that a key is still to be compared."""
        self._owed[layout][form] = key

    def owed(self, layout: int) -> dict[Form, Key]:
        """The keys of a table that are still to be compared."""
        return dict(self._owed[layout])

    def settle(self, layout: int, form: Form) -> None:
        """Note that a key was compared."""
        del self._owed[layout][form]
