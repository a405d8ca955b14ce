"""Chunks: the rows of a key range, written in the transaction that brings the log up to them."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.errors import PositionMoved, TargetRefused
from cdc.mapping.literals import literal
from cdc.mapping.types import BIGINT, DOUBLE, LITERAL, NUMERIC, TEXT
from cdc.postgres import state
from cdc.postgres.apply import Applier, Chunk, TableChanges

APPLIER = Applier()


def test_a_first_copy_in_pieces(conn, create, advance, content):
    """Each chunk records its end and its rows; the last one makes the table live."""
    table = create("t", id=BIGINT, v=TEXT)
    APPLIER.apply(conn, advance(0), [], Chunk(table, [(1, "a"), (2, "b")], None, (2,), fresh=True))
    (known,) = state.captured_tables(conn)
    assert (known.state, known.last_key, known.copied_rows) == ("copying", (2,), 2)
    APPLIER.apply(conn, advance(0), [], Chunk(table, [(3, "c")], (2,), None, fresh=True))
    (known,) = state.captured_tables(conn, "legacy")
    assert (known.state, known.last_key, known.copied_rows) == ("live", None, 3)
    assert content(table) == [(1, "a"), (2, "b"), (3, "c")]


def test_an_empty_table(conn, create, advance, content):
    """A table without rows goes live with an empty chunk."""
    table = create("t", id=BIGINT)
    APPLIER.apply(conn, advance(0), [], Chunk(table, [], None, None, fresh=True))
    assert state.captured_tables(conn)[0].state == "live"


def test_events_that_ran_ahead_of_the_copy(conn, create, advance, content):
    """A fresh chunk writes over rows that are there already; those outside of it stay."""
    table = create("t", id=BIGINT, v=TEXT)
    ahead = TableChanges([(2, "older"), (9, "ahead")], [])
    APPLIER.apply(conn, advance(), [(table, ahead)])
    chunk = Chunk(table, [(1, "a"), (2, "b"), (3, "c")], None, (3,), fresh=True)
    APPLIER.apply(conn, advance(), [], chunk)
    assert content(table) == [(1, "a"), (2, "b"), (3, "c"), (9, "ahead")]


def test_changes_come_before_the_chunk(conn, create, advance, content):
    """The chunk is how things are where the changes lead to: it has the last word."""
    table = create("t", id=BIGINT, v=TEXT)
    changes = TableChanges([(1, "event"), (5, "event")], [])
    chunk = Chunk(table, [(1, "chunk")], None, (4,), fresh=True)
    APPLIER.apply(conn, advance(), [(table, changes)], chunk)
    assert content(table) == [(1, "chunk"), (5, "event")]


def test_a_resync_mends_its_range_alone(conn, create, advance, content, outsider):
    """Rows that differ, lack or are too many are mended inside (after, last], and only there."""
    table = create("t", id=BIGINT, v=TEXT)
    rows = [(i, "old") for i in range(1, 10)]
    APPLIER.apply(conn, advance(0), [], Chunk(table, rows, None, None, fresh=True))
    chunk = Chunk(table, [(3, "old"), (4, "new"), (6, "old")], (2,), (7,), fresh=False)
    APPLIER.apply(conn, advance(0), [], chunk)
    assert content(table) == [
        (1, "old"), (2, "old"), (3, "old"), (4, "new"), (6, "old"), (8, "old"), (9, "old"),
    ]  # fmt: skip


def test_a_resync_leaves_equal_rows_untouched(conn, create, advance, outsider):
    """Only what differs in a bit is written: 0.0 and -0.0 do, and rows that are equal do not."""
    table = create("t", id=BIGINT, v=DOUBLE)
    chunk = Chunk(table, [(1, 1.0), (2, 0.0)], None, None, fresh=False)
    APPLIER.apply(conn, advance(0), [], chunk)
    before = dict(outsider.execute("SELECT id, ctid::text FROM target.t").fetchall())
    APPLIER.apply(
        conn, advance(0), [], Chunk(table, [(1, 1.0), (2, -0.0)], None, None, fresh=False)
    )
    after = dict(outsider.execute("SELECT id, ctid::text FROM target.t").fetchall())
    assert after[1] == before[1]
    assert after[2] != before[2]
    assert str(outsider.execute("SELECT v FROM target.t WHERE id = 2").fetchone()[0]) == "-0.0"


def test_a_chunk_and_its_progress_are_one(conn, create, advance, content):
    """A chunk that fails leaves neither rows nor progress."""
    table = create("t", id=BIGINT, v=TEXT)
    with pytest.raises(PositionMoved):
        APPLIER.apply(conn, advance(from_seq=5), [], Chunk(table, [(1, "a")], None, None, True))
    assert content(table) == []
    assert state.captured_tables(conn)[0].copied_rows == 0


def test_a_table_that_was_forgotten(conn, create, advance, content):
    """A chunk for a table without a row in cdc.captured_table is refused, and not written."""
    table = create("t", id=BIGINT)
    conn.execute("DELETE FROM cdc.captured_table")
    with pytest.raises(TargetRefused, match="no table for 't'"):
        APPLIER.apply(conn, advance(0), [], Chunk(table, [(1,)], None, None, fresh=True))
    assert content(table) == []


def test_a_chunk_reads_its_range_alone(conn, create, advance, outsider):
    """What a chunk costs does not grow with the table, whatever the statistics say of it."""
    table = create("t", id=BIGINT, v=TEXT)
    rows = [(i, "x") for i in range(50_000)]
    APPLIER.apply(conn, advance(0), [], Chunk(table, rows[:100], None, (99,), fresh=True))
    outsider.execute("ANALYZE target.t")  # the last that the planner hears of it
    APPLIER.apply(conn, advance(0), [], Chunk(table, rows[100:], (99,), None, fresh=True))
    before = _sequential_reads(outsider)
    for fresh in (False, True):
        chunk = Chunk(table, rows[30_000:40_000], (29_999,), (39_999,), fresh=fresh)
        started = time.monotonic()
        APPLIER.apply(conn, advance(0), [], chunk)
        assert time.monotonic() - started < 5  # each row against each would take a minute
    assert _sequential_reads(outsider) == before


def _sequential_reads(outsider):
    outsider.execute("SELECT pg_stat_force_next_flush()")
    row = outsider.execute(
        "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 't'"
    ).fetchone()
    return row[0]


def test_restarting_a_copy(conn, create, advance):
    """A copy that starts over has no last key and no rows, and the position to start from."""
    table = create("t", id=BIGINT)
    APPLIER.apply(conn, advance(0), [], Chunk(table, [(1,)], None, None, fresh=True))
    state.restart_copy(conn, "legacy", "t", definition={"new": 1}, since_seq=7)
    (known,) = state.captured_tables(conn)
    assert (known.state, known.since_seq, known.copied_rows) == ("copying", 7, 0)
    assert known.definition == {"new": 1}
    with pytest.raises(TargetRefused):
        state.restart_copy(conn, "legacy", "unknown", definition={}, since_seq=7)


KEYS = st.tuples(st.integers(-3, 3), st.sampled_from(["", "A", "a", "b", "é", "🐘", "~"]))
SIDES = st.dictionaries(KEYS, st.sampled_from([None, 1, 2.5, "x"]), max_size=12)


def _order(key):
    return key[0], key[1].encode()


@pytest.fixture
def resynced(create):
    return create("t", "target", ["i", "k"], i=BIGINT, k=TEXT, v=LITERAL, n=NUMERIC)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(legacy=SIDES, there=SIDES, cuts=st.lists(KEYS, max_size=3, unique=True))
def test_a_resync_makes_both_sides_equal(  # noqa: PLR0917  # fixtures
    legacy, there, cuts, resynced, conn, advance, content
):
    """Whatever the target holds and wherever the chunks are cut, it holds SQLite's rows then."""
    table = resynced

    def rows(side):
        return [(*key, side[key], 7) for key in sorted(side, key=_order)]

    gone = [row[:2] for row in content(table)]
    APPLIER.apply(conn, advance(), [(table, TableChanges([], gone))])
    APPLIER.apply(conn, advance(), [(table, TableChanges(rows(there), []))])
    after = None
    for last in [*sorted(cuts, key=_order), None]:
        chunk = [
            row
            for row in rows(legacy)
            if (after is None or _order(row[:2]) > _order(after))
            and (last is None or _order(row[:2]) <= _order(last))
        ]
        APPLIER.apply(conn, advance(0), [], Chunk(table, chunk, after, last, fresh=False))
        after = last
    assert [row[:3] for row in content(table)] == [
        (*row[:2], literal(row[2])) for row in rows(legacy)
    ]
