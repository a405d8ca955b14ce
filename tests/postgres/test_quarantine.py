"""The quarantine and the position move together, or not at all."""

from dataclasses import replace

import pytest

from cdc.errors import PositionMoved, QuarantineFull, ValueDoesNotFit
from cdc.mapping.types import BIGINT, DOUBLE, TEXT
from cdc.postgres import quarantine
from cdc.postgres.apply import Applier, TableChanges
from cdc.postgres.misfit import Misfit
from cdc.postgres.quarantine import Quarantine

BAD = TableChanges([(1, "n/a"), (2, 0.5)], [], seqs=lambda: [11, 12])
GOOD = TableChanges([(1, 1.5)], [])


@pytest.fixture(params=[1, 1000], ids=["bulk", "few"])
def applier(request):
    """An applier of an empty quarantine that takes everything."""
    return Applier(bulk_rows=request.param, quarantine=Quarantine("legacy", takes_all=True))


def keys(conn):
    return quarantine.read_keys(conn, "legacy")


def test_entry_and_position_commit_together(applier, conn, create, advance, content):
    """What is set aside is there when the position has passed it, with the seq of its event."""
    table = create("t", id=BIGINT, v=DOUBLE)
    [aside] = applier.apply(conn, advance(), [(table, BAD)])
    assert (aside.key, aside.seq) == ((1,), 11)
    [entry] = quarantine.entries(conn)
    assert (entry.key, entry.seq, entry.column_name) == ((1,), 11, "v")
    assert quarantine.read_row(conn, entry) == {"id": 1, "v": "n/a"}
    assert content(table) == [(2, 0.5)]


def test_a_refused_batch_changes_nothing(applier, conn, create, advance):
    """A batch that starts from another position neither fills the quarantine nor empties it."""
    table = create("t", id=BIGINT, v=DOUBLE)
    stale = advance()
    applier.apply(conn, stale, [(table, BAD)])
    with pytest.raises(PositionMoved):
        applier.apply(conn, stale, [(table, GOOD)])
    assert keys(conn) == [("t", (1,))]
    applier.apply(conn, advance(), [(table, GOOD)])
    assert keys(conn) == []


@pytest.mark.parametrize("bulk_rows", [1, 1000], ids=["bulk", "few"])
def test_more_rows_than_an_accident_explains_are_refused(conn, create, advance, content, bulk_rows):
    """The batch that would overfill it changes nothing; what is in it already may come again."""
    table = create("t", id=BIGINT, v=DOUBLE)
    applier = Applier(bulk_rows=bulk_rows, quarantine=Quarantine("legacy", takes_all=True, most=2))
    first = [(i, "n/a") for i in (1, 2)]
    applier.apply(conn, advance(), [(table, TableChanges(first))])
    applier.apply(conn, advance(), [(table, TableChanges([(2, "again"), (3, 0.5)]))])
    with pytest.raises(QuarantineFull, match=r"3 rows of legacy .* of table t: TEXT 'third'"):
        applier.apply(conn, advance(), [(table, TableChanges([(4, 0.5), (5, "third")]))])
    assert sorted(keys(conn)) == [("t", (1,)), ("t", (2,))]
    assert content(table) == [(3, 0.5)]
    swap = TableChanges([(1, 0.1), (5, "third")])
    applier.apply(conn, advance(), [(table, swap)])
    assert sorted(keys(conn)) == [("t", (2,)), ("t", (5,))]


def test_a_column_may_ask_for_it_alone(conn, create, advance):
    """on_misfit = "quarantine" of a column holds where on_error is "halt", for that column only."""
    table = create("t", id=BIGINT, v=DOUBLE, w=TEXT)
    columns = [replace(c, on_misfit="quarantine") if c.name == "v" else c for c in table.columns]
    table = replace(table, columns=tuple(columns))
    applier = Applier(quarantine=Quarantine("legacy", takes_all=False))
    applier.apply(conn, advance(), [(table, TableChanges([(1, "n/a", "x")]))])
    assert keys(conn) == [("t", (1,))]
    with pytest.raises(Misfit):
        applier.apply(conn, advance(), [(table, TableChanges([(2, 0.5, b"x")]))])


def test_a_dropped_entry_is_renewed(applier, conn, create, advance):
    """A later image that does not fit, either, is a new matter: it counts again."""
    table = create("t", id=BIGINT, v=DOUBLE)
    applier.apply(conn, advance(), [(table, BAD)])
    [entry] = quarantine.entries(conn)
    assert quarantine.drop(conn, [entry.id]) == 1
    assert quarantine.drop(conn, [entry.id]) == 0
    assert quarantine.counts(conn, "legacy") == {}
    applier.apply(conn, advance(), [(table, BAD)])
    assert quarantine.counts(conn, "legacy") == {"t": 1}


def test_values_that_swap_places_beside_a_refused_row(conn, create, advance, content, outsider):
    """Rows of a bulk batch may exchange unique values, also where one of them is set aside."""
    table = create("t", id=BIGINT, u=TEXT, v=TEXT)
    outsider.execute("CREATE UNIQUE INDEX ON target.t (u)")
    outsider.execute("CREATE INDEX ON target.t (v)")
    applier = Applier(bulk_rows=1, quarantine=Quarantine("legacy", takes_all=True))
    applier.apply(conn, advance(), [(table, TableChanges([(1, "a", "x"), (2, "b", "x")]))])
    too_long = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(3000))
    swapped = TableChanges([(1, "b", "x"), (2, "a", "x"), (3, "c", too_long)])
    with pytest.raises(ValueDoesNotFit):
        applier.apply(conn, advance(), [(table, swapped)])
    [aside] = applier.apply(conn, advance(), [(table, swapped)], careful=True)
    assert (aside.key, aside.position) == ((3,), None)
    assert content(table) == [(1, "b", "x"), (2, "a", "x")]


def test_changes_in_parts_are_left_to_whoever_sees_all_of_them(create):
    """Where a row does not fit, or one may leave the quarantine."""
    table = create("t", id=BIGINT, v=DOUBLE)
    kept = Quarantine("legacy", takes_all=True)
    applier = Applier(bulk_rows=1, quarantine=kept)
    other = TableChanges([(3, 2.5)], [(4,)])
    [(_, ready)] = applier.prepare_many([[(table, GOOD)], [(table, other)]])
    assert len(ready.rows) == 2
    assert applier.prepare_many([[(table, other)], [(table, BAD)]]) is None
    [(_, ready)] = applier.prepare([(table, BAD)])
    assert len(ready.aside) == 1
    assert applier.prepare_many([[(table, GOOD)]]) is None
