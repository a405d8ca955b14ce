"""Target tables: made guarded, dropped only where they are ours."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import TargetRefused
from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, LITERAL, NUMERIC, TEXT
from cdc.postgres import state, tables
from cdc.postgres.identifiers import MAX_COLUMNS, target_identifier, target_identifiers


def test_what_is_made(conn, create, outsider):
    """Columns in order, the key in its own order and collation, and a row that remembers it all."""
    table = create(
        "t", "target", ["k", "i"], i=BIGINT, k=TEXT, d=DOUBLE, b=BYTEA, n=NUMERIC, li=LITERAL
    )
    columns = outsider.execute(
        "SELECT column_name, data_type, collation_name, is_nullable"
        " FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position"
    ).fetchall()
    assert columns == [
        ("i", "bigint", None, "NO"),
        ("k", "text", "C", "NO"),
        ("d", "double precision", None, "YES"),
        ("b", "bytea", None, "YES"),
        ("n", "numeric", None, "YES"),
        ("li", "text", None, "YES"),
    ]
    index = outsider.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 't'").fetchone()
    assert index[0].endswith("(k, i)")
    (known,) = state.captured_tables(conn)
    assert (known.source, known.name, known.target_schema, known.target_name) == (
        "legacy", "t", "target", table.name,
    )  # fmt: skip
    assert (known.state, known.since_seq, known.last_key, known.copied_rows) == (
        "copying", 0, None, 0,
    )  # fmt: skip


def test_the_definition_is_kept(conn, shape):
    """What the mapping was is kept as it was given."""
    definition = {"columns": [["id", "bigint"], ["ü", None]], "n": 1.5}
    tables.make_table(conn, "legacy", shape("t", id=BIGINT), definition=definition, since_seq=3)
    (known,) = state.captured_tables(conn)
    assert (known.definition, known.since_seq) == (definition, 3)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE target.t ()", "CREATE VIEW target.t AS SELECT 1", "CREATE SEQUENCE target.t"],
)
def test_a_name_that_is_taken(statement, conn, shape, outsider):
    """A table or anything else of that name that is not ours stays, and the message says so."""
    outsider.execute("CREATE SCHEMA target")
    outsider.execute(statement)
    with pytest.raises(TargetRefused, match=r"target\.t exists already; cdc did not") as caught:
        tables.make_table(conn, "legacy", shape("t", id=BIGINT), definition={}, since_seq=0)
    assert "rename or drop" in caught.value.hint
    assert state.captured_tables(conn) == []


def test_a_name_taken_by_another_source(conn, create, shape):
    """Two sources cannot feed one table; the message names the other."""
    create("t", id=BIGINT)
    with pytest.raises(TargetRefused, match="the target of 't' in source 'legacy'"):
        tables.make_table(conn, "other", shape("t", id=BIGINT), definition={}, since_seq=0)


def test_anew_with_another_mapping(conn, create, shape, outsider):
    """A table of ours is dropped and made again, under another name if so mapped."""
    create("t", id=BIGINT)
    renamed = shape("t2", id=TEXT)
    renamed = type(renamed)(shape("t", id=TEXT).source, "elsewhere", "t2", renamed.columns)
    tables.make_table(conn, "legacy", renamed, definition={"v": 2}, since_seq=8)
    (known,) = state.captured_tables(conn)
    assert (known.name, known.target_schema, known.target_name, known.since_seq) == (
        "t", "elsewhere", "t2", 8,
    )  # fmt: skip
    assert outsider.execute("SELECT to_regclass('target.t')").fetchone() == (None,)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        outsider.execute("DELETE FROM elsewhere.t2")


def test_a_table_that_the_operator_dropped(conn, create, shape):
    """Where the target of ours is gone already, it is made anew all the same."""
    table = create("t", id=BIGINT)
    conn.execute("DROP TABLE target.t")
    tables.make_table(conn, "legacy", table, definition={}, since_seq=0)
    conn.execute("SELECT * FROM target.t")


@pytest.mark.parametrize("act", ["drop", "recreate", "release"])
def test_what_took_the_place_of_ours(act, conn, create, outsider):
    """A table that somebody put where ours was is not touched."""
    table = create("t", id=BIGINT)
    outsider.execute("DROP TABLE target.t")
    outsider.execute("CREATE TABLE target.t (precious int)")
    act = {
        "drop": lambda: tables.drop_table(conn, "legacy", "t"),
        "release": lambda: tables.release_table(conn, "legacy", "t"),
        "recreate": lambda: tables.make_table(conn, "legacy", table, definition={}, since_seq=0),
    }[act]
    with pytest.raises(TargetRefused, match="does not carry the guard"):
        act()
    outsider.execute("SELECT precious FROM target.t")


def test_dropping(conn, create, outsider):
    """Ours is dropped and forgotten; what was never ours is refused."""
    create("t", id=BIGINT)
    tables.drop_table(conn, "legacy", "t")
    assert state.captured_tables(conn) == []
    assert outsider.execute("SELECT to_regclass('target.t')").fetchone() == (None,)
    with pytest.raises(TargetRefused, match="keeps no target"):
        tables.drop_table(conn, "legacy", "t")


def test_a_view_on_it_keeps_it(conn, create, outsider):
    """A table that something depends on is not dropped with it, and the hint says why."""
    create("t", id=BIGINT)
    outsider.execute("CREATE VIEW target.v AS SELECT id FROM target.t")
    with pytest.raises(TargetRefused, match="depend on it") as caught:
        tables.drop_table(conn, "legacy", "t")
    assert "DROP ... CASCADE" in caught.value.hint or "depends" in caught.value.hint
    assert len(state.captured_tables(conn)) == 1


def test_releasing(conn, create, outsider):
    """A released table stays, takes everybody's writes, and is not ours any more."""
    create("t", id=BIGINT)
    tables.release_table(conn, "legacy", "t")
    outsider.execute("INSERT INTO target.t VALUES (1)")
    assert state.captured_tables(conn) == []
    with pytest.raises(TargetRefused):
        tables.drop_table(conn, "legacy", "t")


def test_a_failure_leaves_nothing(conn, shape, outsider):
    """Schema, table, guard and record are made together or not at all."""
    outsider.execute("ALTER TABLE cdc.captured_table ADD CHECK (name <> 't')")
    with pytest.raises(TargetRefused):
        tables.make_table(conn, "legacy", shape("t", id=BIGINT), definition={}, since_seq=0)
    assert outsider.execute("SELECT to_regnamespace('target')").fetchone() == (None,)


def test_our_own_schema_takes_no_tables(conn, shape):
    """The schema cdc is not a target."""
    with pytest.raises(TargetRefused, match="state of cdc"):
        tables.make_table(conn, "legacy", shape("t", "cdc", id=BIGINT), definition={}, since_seq=0)


def test_too_many_columns(conn, shape):
    """More columns than PostgreSQL has are refused before it is asked."""
    columns = {f"c{i}": BIGINT for i in range(MAX_COLUMNS + 1)}
    with pytest.raises(TargetRefused, match="1601 columns"):
        tables.make_table(conn, "legacy", shape("t", **columns), definition={}, since_seq=0)
    with pytest.raises(TargetRefused, match="1601 columns"):
        target_identifiers(list(columns))


NAMES = st.one_of(
    st.sampled_from(["", "ctid", "xmin", "tableoid", "CTID", "a", "x" * 63, "x" * 64, "🐘" * 16]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80),
)


@given(st.lists(NAMES, max_size=30, unique=True))
def test_identifiers_are_valid_and_distinct(names):
    """Each name fits into 63 bytes, is none of PostgreSQL's own, and is there once."""
    found = target_identifiers(names)
    assert len(set(found)) == len(names)
    for name, identifier in zip(names, found, strict=True):
        assert 0 < len(identifier.encode()) <= 63
        assert identifier not in {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
        assert target_identifier(identifier) == identifier
        if target_identifier(name) == name:
            assert identifier == name


def test_identifiers_do_not_depend_on_their_neighbours():
    """A column keeps its name in the target when another one is added beside it."""
    assert target_identifiers(["ctid", "a"])[0] == target_identifiers(["b", "ctid"])[1]


def test_a_name_that_looks_like_a_changed_one():
    """Even a column that bears the changed name of another keeps apart from it."""
    changed = target_identifier("ctid")
    assert target_identifiers(["ctid", changed])[1] == changed
    assert len(set(target_identifiers(["ctid", changed]))) == 2
