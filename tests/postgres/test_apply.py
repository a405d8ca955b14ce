"""One transaction of a source."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.errors import PositionMoved, TargetRefused, ValueDoesNotFit
from cdc.mapping.literals import literal
from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, LITERAL, NUMERIC, TEXT
from cdc.postgres import state, tables
from cdc.postgres.apply import Applier, TableChanges
from cdc.postgres.identifiers import target_identifier, target_identifiers
from cdc.schema import UndecodableText

SMALL = Applier(bulk_rows=10**9)
BULK = Applier(bulk_rows=1)
PATHS = pytest.mark.parametrize("applier", [SMALL, BULK], ids=["arrays", "copy"])


@PATHS
def test_rows_position_and_boundary_commit_together(applier, conn, create, advance, content):
    """A batch's rows, its position and its boundary are there after it, all three."""
    table = create("t", id=BIGINT, v=TEXT)
    step = advance(5, at=2461000.75, digest=b"five")
    applier.apply(conn, step, [(table, TableChanges([(1, "one"), (2, None)], []))])
    assert content(table) == [(1, "one"), (2, None)]
    known = state.source(conn, "legacy")
    assert (known.applied_seq, known.applied_digest, known.applied_at) == (5, b"five", 2461000.75)
    assert state.boundary_before(conn, "legacy", 100) == 5


@PATHS
def test_deletes_and_upserts(applier, conn, create, advance, content):
    """A row that is there is overwritten whole, one that is not is added, a deleted one goes."""
    table = create("t", id=BIGINT, v=TEXT)
    applier.apply(conn, advance(), [(table, TableChanges([(1, "a"), (2, "b"), (3, "c")], []))])
    applier.apply(conn, advance(), [(table, TableChanges([(2, None), (4, "d")], [(1,), (99,)]))])
    assert content(table) == [(2, None), (3, "c"), (4, "d")]


@PATHS
def test_a_batch_that_splits_a_transaction_leaves_no_boundary(applier, conn, create, advance):
    """A position inside a transaction of the source is no boundary."""
    table = create("t", id=BIGINT)
    applier.apply(conn, advance(boundary=False), [(table, TableChanges([(1,)], []))])
    assert state.boundary_before(conn, "legacy", 100) is None


@PATHS
def test_a_batch_is_applied_once(applier, conn, create, advance, content):
    """A batch that starts from another position than the target's is refused whole."""
    table = create("t", id=BIGINT, v=TEXT)
    step = advance()
    applier.apply(conn, step, [(table, TableChanges([(1, "first")], []))])
    with pytest.raises(PositionMoved, match="is 1, not 0"):
        applier.apply(conn, step, [(table, TableChanges([(1, "again")], []))])
    assert content(table) == [(1, "first")]
    assert not conn.closed
    applier.apply(conn, advance(), [(table, TableChanges([(1, "next")], []))])
    assert content(table) == [(1, "next")]


def test_an_unknown_source_has_no_position(conn, advance):
    """A source that is not registered cannot be advanced."""
    with pytest.raises(PositionMoved, match="not recorded"):
        SMALL.apply(conn, advance(source="other"), [])


def test_the_gate_is_checked_first(conn, create, advance, outsider, content):
    """An applier from before a switch writes nothing, whether the gate is open or closed again."""
    table = create("t", id=BIGINT)
    step = advance()
    outsider.execute("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    with pytest.raises(TargetRefused, match="gate is open"):
        SMALL.apply(conn, step, [(table, TableChanges([(1,)], []))])
    outsider.execute("UPDATE cdc.gate SET open = false, epoch = epoch + 1")
    with pytest.raises(TargetRefused, match="at epoch 3, not at 1"):
        SMALL.apply(conn, step, [(table, TableChanges([(1,)], []))])
    assert content(table) == []
    SMALL.apply(conn, advance(), [(table, TableChanges([(1,)], []))])
    assert content(table) == [(1,)]


@PATHS
def test_a_table_of_key_columns_only(applier, conn, create, advance, content):
    """Where every column is key, writing a row again changes nothing and is no error."""
    table = create("pairs", "target", ["a", "b"], a=BIGINT, b=TEXT)
    rows = [(1, "x"), (1, "y"), (2, "x")]
    applier.apply(conn, advance(), [(table, TableChanges(rows, []))])
    applier.apply(conn, advance(), [(table, TableChanges(rows[:2], [(2, "x")]))])
    assert content(table) == [(1, "x"), (1, "y")]


@PATHS
def test_minus_zero_as_key(applier, conn, create, advance, content):
    """-0.0 and 0.0 are one key and two values: the last one written stands."""
    table = create("t", x=DOUBLE, v=TEXT)
    applier.apply(conn, advance(), [(table, TableChanges([(0.0, "plus")], []))])
    applier.apply(conn, advance(), [(table, TableChanges([(-0.0, "minus")], []))])
    assert repr(content(table)) == "[(-0.0, 'minus')]"


@PATHS
def test_several_tables_in_one_batch(applier, conn, create, advance, content):
    """All tables of a batch change together."""
    one, two = create("one", id=BIGINT), create("two", id=TEXT, v=BYTEA)
    changes = [(one, TableChanges([(1,)], [])), (two, TableChanges([("k", b"\0")], [("gone",)]))]
    applier.apply(conn, advance(), changes)
    assert (content(one), content(two)) == ([(1,)], [("k", b"\0")])


def test_an_idle_advance(conn, advance):
    """A position can advance without changes, as when all events were of tables left out."""
    SMALL.apply(conn, advance(7), [])
    assert state.source(conn, "legacy").applied_seq == 7


def test_the_first_error_of_a_pipeline_is_the_one_reported(conn, create, advance, outsider):
    """What is raised is the cause, not that the pipeline was aborted, and the next batch works."""
    one, two = create("one", id=BIGINT), create("two", id=BIGINT)
    outsider.execute("ALTER TABLE target.one RENAME COLUMN id TO other")
    changes = [(one, TableChanges([(1,)], [(2,)])), (two, TableChanges([(1,)], []))]
    with pytest.raises(TargetRefused, match=r"id.*does not exist"):
        SMALL.apply(conn, advance(), changes)
    SMALL.apply(conn, advance(), [(two, TableChanges([(1,)], []))])


@PATHS
def test_a_foreign_unique_index_is_named(applier, conn, create, advance, outsider):
    """A unique violation outside of the key says which constraint and which value."""
    table = create("t", id=BIGINT, v=TEXT)
    outsider.execute("ALTER TABLE target.t ADD CONSTRAINT only_once UNIQUE (v)")
    with pytest.raises(TargetRefused, match=r"only_once.*\(v\)=\(same\)"):
        applier.apply(conn, advance(), [(table, TableChanges([(1, "same"), (2, "same")], []))])


@PATHS
def test_a_check_in_the_target_is_named(applier, conn, create, advance, outsider):
    """A row that a CHECK refuses does not fit, as a whole: the error names the constraint."""
    table = create("t", id=BIGINT, v=TEXT)
    outsider.execute("ALTER TABLE target.t ADD CONSTRAINT not_bad CHECK (v <> 'bad')")
    with pytest.raises(ValueDoesNotFit, match="not_bad"):
        applier.apply(conn, advance(), [(table, TableChanges([(1, "bad")], []))])


@PATHS
def test_a_key_too_long_for_the_index(applier, conn, create, advance):
    """A key that no index entry can hold is a value that does not fit; its table is named."""
    table = create("t", k=TEXT)
    incompressible = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(3000))
    with pytest.raises(ValueDoesNotFit, match=r"a row of target\.t does not fit: index row"):
        applier.apply(conn, advance(), [(table, TableChanges([(incompressible,)], []))])


def test_plans_survive_growth(conn, create, advance, outsider):
    """A delete that was planned while its table was empty still goes by the index later."""
    table = create("t", id=BIGINT, v=TEXT)
    for _ in range(10):
        SMALL.apply(conn, advance(), [(table, TableChanges([(0, "x")], [(1,)]))])
    outsider.execute("SET cdc.session = 'on'")
    outsider.execute("INSERT INTO target.t SELECT i, 'x' FROM generate_series(10, 200000) i")
    before = _sequential_reads(outsider)
    for _ in range(10):
        SMALL.apply(conn, advance(), [(table, TableChanges([], [(500,), (600,)]))])
    assert _sequential_reads(outsider) == before


def _sequential_reads(outsider):
    outsider.execute("SELECT pg_stat_force_next_flush()")
    row = outsider.execute(
        "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 't'"
    ).fetchone()
    return row[0]


def test_wide_and_hostile(conn, shape, advance, content):
    """1,600 columns with any names, in a table with any name."""
    hostile = ['we"ird', "100%s", "%(x)s", "{}", "new\nline", "🐘" * 40, "", "ctid", "$1", "a'b"]
    names = target_identifiers([*hostile, *(f"c{i}" for i in range(1590))])
    name = target_identifier('t"%s{}\n')
    table = shape(name, 's"%s', [names[1]], **dict.fromkeys(names, BIGINT))
    tables.make_table(conn, "legacy", table, definition={}, since_seq=0)
    # Not all of them at once: a row of PostgreSQL has to fit into a page.
    rows = [tuple(range(i, i + 20)) + (None,) * 1580 for i in range(3)]
    SMALL.apply(conn, advance(), [(table, TableChanges(rows, []))])
    BULK.apply(conn, advance(), [(table, TableChanges(rows[1:], [(1,)]))])
    assert content(table) == rows[1:]


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
REALS = st.floats(allow_nan=False)
ANYTHING = st.one_of(
    INTEGERS, REALS, TEXTS, st.binary(max_size=5), st.just(UndecodableText(b"\xff"))
)
NUMBERS = st.one_of(INTEGERS, REALS).filter(NUMERIC.accepts)


def _row(key):
    values = [REALS, TEXTS, st.binary(max_size=5), NUMBERS, ANYTHING, INTEGERS]
    return st.tuples(*key, *(st.one_of(st.none(), value) for value in values))


@st.composite
def workloads(draw):
    """Batches over few keys: each a list of rows and a list of keys to delete, all distinct."""
    keys = (st.integers(0, 4), st.sampled_from(["a", "A", "é", ""]))
    batches = draw(st.lists(st.lists(st.tuples(_row(keys), st.booleans())), max_size=5))
    result = []
    for batch in batches:
        last = {row[:2]: (row, gone) for row, gone in batch}
        rows = [row for row, gone in last.values() if not gone]
        result.append((rows, [row[:2] for row, gone in last.values() if gone]))
    return result


COLUMNS = {
    "i": BIGINT, "k": TEXT, "r": DOUBLE, "t": TEXT, "b": BYTEA, "n": NUMERIC, "l": LITERAL,
    "j": BIGINT,
}  # fmt: skip


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(workload=workloads())
def test_both_paths_and_a_dictionary_agree(workload, both, conn, advance, content):
    """Any batches leave the same rows, bit for bit, by arrays, by COPY, and in a dictionary."""
    small, large = both
    empty = [(table, TableChanges([], [row[:2] for row in content(table)])) for table in both]
    SMALL.apply(conn, advance(), empty)
    model = {}
    for rows, deletes in workload:
        for key in deletes:
            model.pop(key, None)
        model.update({row[:2]: row for row in rows})
        SMALL.apply(conn, advance(), [(small, TableChanges(rows, deletes))])
        BULK.apply(conn, advance(), [(large, TableChanges(rows, deletes))])
    expected = [_as_stored(small, row) for row in sorted(model.values(), key=_order)]
    assert repr(content(small)) == repr(expected)
    assert repr(content(large)) == repr(expected)


@pytest.fixture
def both(create):
    return [create(name, "target", ["i", "k"], **COLUMNS) for name in ("small", "large")]


def _order(row):
    return row[0], row[1].encode()


def _as_stored(table, row):
    """What a session reads for a row: numeric comes back as Decimal."""
    stored = list(row)
    for i, column in enumerate(table.columns):
        if row[i] is not None and column.type is NUMERIC:
            stored[i] = Decimal(f"{Decimal(repr(row[i])):f}")
        elif row[i] is not None and column.type is LITERAL:
            stored[i] = literal(row[i])
    return tuple(stored)
