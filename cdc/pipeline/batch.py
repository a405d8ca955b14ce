"""From consecutive events to what they change: the last event of each key.

Within one target transaction the order of events for different keys does not matter.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from operator import itemgetter
from typing import Any

from cdc.event import LAYOUT, OP, ORIGIN, REVERSE_FLOW, SEQ, VALUES, Event, Op
from cdc.mapping.table import MappedTable
from cdc.mapping.types import LITERAL
from cdc.postgres.changes import TableChanges
from cdc.schema import Key, Value


class Compactor:
    """Compacts batches for a fixed set of tables, given by the layout that their events carry.

    Events of other layouts are passed over: they belong to a capture that has ended, and the copy
    that followed it holds what they said. So are those that came from PostgreSQL by the way back,
    but for `from_anybody`.
    """

    def __init__(self, tables: Mapping[int, MappedTable], *, from_anybody: bool = False) -> None:
        self._tables = tables
        self._passed_over = None if from_anybody else REVERSE_FLOW
        self._identities = {layout: _identity(table) for layout, table in tables.items()}

    def arrange(self, events: Sequence[Event]) -> list[tuple[MappedTable, TableChanges]]:
        """As `compact`, quicker, of events no two of which are of one key."""
        layouts = set(map(itemgetter(LAYOUT), events))
        if len(layouts) != 1 or self._passed_over is not None:
            return self.compact(events)
        table = self._tables.get(layouts.pop())
        return [(table, _changes(table, events))] if table is not None else []

    def compact(self, events: Iterable[Event]) -> list[tuple[MappedTable, TableChanges]]:
        """The changes of each table that the events touch."""
        latest: dict[int, dict[Any, Event]] = {layout: {} for layout in self._tables}
        identities, passed_over = self._identities, self._passed_over
        for event in events:
            layout = event[LAYOUT]
            if layout in identities and event[ORIGIN] != passed_over:
                latest[layout][identities[layout](event)] = event
        return [
            (self._tables[layout], _changes(self._tables[layout], last.values()))
            for layout, last in latest.items()
            if last
        ]


def _changes(table: MappedTable, events: Collection[Event]) -> TableChanges:
    end, gone = VALUES + len(table.source.columns), Op.GONE
    upserts = [event[VALUES:end] for event in events if event[OP] not in gone]
    at = [VALUES + column.source for column in table.key_columns]
    keys = [tuple([event[i] for i in at]) for event in events if event[OP] in gone]
    changes = TableChanges(upserts, seqs=partial(_seqs, events))
    # A key that the target cannot hold has no row there, but may be in the quarantine.
    if keys and _are_held(table, keys):
        changes.deletes += keys
    else:
        for key in keys:
            (changes.deletes if _are_held(table, [key]) else changes.unheld).append(key)
    if _has_literal_key(table):
        _add_other_zeros(table, changes)
    return changes


def _are_held(table: MappedTable, keys: Sequence[Key]) -> bool:
    """Whether the target can hold every one of some keys."""
    columns = zip(table.key_columns, zip(*keys, strict=True), strict=True)
    return all(None not in of_all and key.type.accepts_all(of_all) for key, of_all in columns)


def _seqs(events: Iterable[Event]) -> list[int]:
    """The seqs of the events that are no deletes, in order."""
    return [event[SEQ] for event in events if event[OP] not in Op.GONE]


def _has_literal_key(table: MappedTable) -> bool:
    return any(column.type.name == LITERAL.name for column in table.key_columns)


def _add_other_zeros(table: MappedTable, changes: TableChanges) -> None:
    """Delete 0.0 where a key is -0.0 now, and the reverse: one key in SQLite, two as literals."""
    keys = [*changes.deletes, *(tuple(row[i] for i in table.key) for row in changes.upserts)]
    for key in keys:
        # At most one of the forms has a row in SQLite, and that one is written after the deletes.
        signs = [(0.0, -0.0) if _is_zero(value) else (value,) for value in key]
        changes.deletes += [other for other in product(*signs) if repr(other) != repr(key)]


def _is_zero(value: Value) -> bool:
    return type(value) is float and value == 0.0


def _identity(table: MappedTable) -> Callable[[Event], Any]:
    """What makes two events speak of the same row of the target.

    Python's equality is PostgreSQL's for every type but a literal, where 1 and 1.0 are two.
    """
    positions = [VALUES + i for i in table.key]
    if _has_literal_key(table):
        return lambda event: tuple((type(event[i]), event[i]) for i in positions)
    return itemgetter(*positions)
