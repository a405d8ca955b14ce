"""From events to what they change."""

import pytest

from cdc.event import APPLICATION, REVERSE_FLOW, Op
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import BIGINT, TEXT
from cdc.pipeline.batch import Compactor
from cdc.schema import Column, Table


def table(name):
    columns = tuple(Column(column, "", "BLOB") for column in ("id", "v"))
    target = (TargetColumn("id", BIGINT, 0), TargetColumn("v", TEXT, 1))
    return MappedTable(Table(name, columns, (0,)), "public", name, target)


TABLES = {3: table("three"), 4: table("four")}


def event(seq, layout, *values, op=Op.INSERT, origin=APPLICATION):
    return (seq, 2461000.5, op, layout, origin, *values)


def found(changes):
    return [(t.name, c.upserts, c.deletes, list(c.seqs())) for t, c in changes]


def test_the_last_event_of_each_key_counts():
    """1.0 is the key 1 to SQLite. Events of other tables, and those that came back, do not."""
    events = [
        event(1, 3, 1, "a"),
        event(2, 3, 2, "b"),
        event(3, 3, 1.0, "c"),
        event(4, 9, 1, "x"),
        event(5, 3, 2, None, op=Op.DELETE),
        event(6, 4, 1, "y"),
        event(7, 4, 1, "z", origin=REVERSE_FLOW),
    ]
    assert found(Compactor(TABLES).compact(events)) == [
        ("three", [(1.0, "c")], [(2,)], [3]),
        ("four", [(1, "y")], [], [6]),
    ]
    from_anybody = Compactor(TABLES, from_anybody=True)
    assert found(from_anybody.compact(events))[1] == ("four", [(1, "z")], [], [7])


@pytest.mark.parametrize("from_anybody", [True, False])
def test_events_that_are_apart_come_to_the_same(from_anybody):
    compactor = Compactor(TABLES, from_anybody=from_anybody)
    of_three = [event(1, 3, 1, "a"), event(2, 3, 2, None, op=Op.EVICT), event(3, 3, 3, "c")]
    of_four, of_nobody = event(4, 4, 1, "y"), event(5, 9, 1, "z")
    came_back = event(6, 3, 9, "b", origin=REVERSE_FLOW)
    for events in (
        of_three,
        [*of_three, of_four],
        [*of_three, of_nobody],
        [of_nobody],
        [*of_three, came_back],
        [],
    ):
        assert found(compactor.arrange(events)) == found(compactor.compact(events))
