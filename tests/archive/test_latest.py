"""The last event of each key, and whether the ones that are left are of keys that are apart."""

import pytest

from cdc.archive import latest
from cdc.archive.latest import Latest, whole_events
from cdc.archive.rows import dump_rows
from cdc.event import SEQ
from cdc.schema import Column, Table

ONE, TWO = 3, 4
"""The layouts of a table whose key is its first column, and of one whose key is the first two."""

COLUMNS = tuple(Column(name, "", "BLOB") for name in "abc")
TABLES = {ONE: Table("one", COLUMNS, (0,)), TWO: Table("two", COLUMNS, (0, 1))}


def lines(*events, op="i"):
    """Events, each given by its layout and the values behind, as their lines."""
    rows = [(seq, 2461000.5, op, layout, 0, *rest) for seq, (layout, *rest) in enumerate(events, 1)]
    return [dump_rows([row])[:-1] for row in rows]


def left(*events):
    found = Latest(TABLES)
    found.add(lines(*events))
    apart, count = found.apart, found.count
    kept = found.take()
    assert sum(group.count for group in kept) == count
    assert (found.apart, found.count) == (True, 0)
    return apart, sorted(event[SEQ] for group in whole_events(kept, TABLES) for event in group)


@pytest.mark.parametrize("key", [(ONE, 7), (ONE, "x"), (ONE, "1.5"), (ONE, -7), (TWO, "x", -1)])
def test_the_last_event_of_each_key_is_apart_from_the_others(key):
    assert left(key, (ONE, 8, "other"), (*key, "later"), (TWO, 7, 8)) == (True, [2, 3, 4])
    assert left((*key, "first"), key) == (True, [2])


@pytest.mark.parametrize(
    ("key", "same"),
    [
        ((ONE, 1), (ONE, 1.0)),
        ((ONE, 10**18), (ONE, 1e18)),
        ((ONE, -0.0), (ONE, 0)),
        ((TWO, "x", 1), (TWO, "x", 1.0)),
        ((ONE, 'a"b'), (ONE, 'a"b')),
        ((ONE, b"\x00"), (ONE, b"\x00")),
        ((ONE, "a,b"), (ONE, "a,b")),
        ((TWO, None, 1), (TWO, None, 1)),
        ((ONE, None), (ONE, None)),
    ],
    ids=repr,
)
def test_all_events_are_left_where_the_text_does_not_tell_whether_two_keys_are_one(key, same):
    assert left(key, same) == (False, [1, 2])


def test_one_form_of_a_real_number_is_one_key_but_not_known_to_be_apart():
    assert left((ONE, 1.5), (ONE, 1.5)) == (False, [2])


def test_others_tables_are_passed_over():
    assert left((9, 1.5), (ONE, 1)) == (True, [2])


def test_events_are_whole_and_as_many_as_are_decoded_at_once(monkeypatch):
    """Without the NULLs at their ends they would be of no table."""
    monkeypatch.setattr(latest, "AT_ONCE", 2)
    found = Latest(TABLES)
    found.add(lines((ONE, 1), (ONE, 2, "b"), (9, 1), (TWO, 1, 2, 3)))
    kept = found.take()
    groups = [[event[SEQ:1] + event[3:] for event in group] for group in whole_events(kept, TABLES)]
    assert groups == [
        [(1, ONE, 0, 1, None, None), (2, ONE, 0, 2, "b", None)],
        [(4, TWO, 0, 1, 2, 3)],
    ]
