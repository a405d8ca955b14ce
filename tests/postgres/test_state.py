"""The schema `cdc`: made once, by anyone, and brought up to date."""

import threading
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.errors import TargetRefused
from cdc.mapping.types import BIGINT
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.postgres.keys import dump_key, load_key
from cdc.schema import UndecodableText


def test_made_once(target):
    """A second installation changes nothing: the target keeps its id."""
    with target.lease() as conn:
        assert state.identity(conn) is None
        made = state.install(conn)
        assert state.install(conn) == made == state.identity(conn)
        assert made.version == state.VERSION


def test_made_by_many_at_once(dsn):
    """Processes that start together all get the same target."""
    found, errors = [], []
    barrier = threading.Barrier(8)
    with Target(dsn, max_connections=8) as target:

        def work():
            try:
                with target.lease() as conn:
                    barrier.wait()
                    found.append(state.install(conn))
            except Exception as exc:  # noqa: BLE001  # looked at in the main thread
                errors.append(exc)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_newer_version_is_refused(conn):
    """A database that a newer cdc has used is left alone, with a word on what to do."""
    now = state.VERSION
    conn.execute("UPDATE cdc.target SET version = version + 1")
    with pytest.raises(
        TargetRefused, match=f"has version {now + 1}; this cdc knows {now}"
    ) as caught:
        state.install(conn)
    assert "upgrade" in caught.value.hint


def test_older_versions_are_brought_up_in_steps(conn, monkeypatch, tmp_path):
    """Each step runs once, in order, and all of them in one transaction."""
    now = state.VERSION
    steps = {now + 1: "CREATE TABLE cdc.two ()", now + 2: "ALTER TABLE cdc.two ADD three int"}
    for version, step in steps.items():
        Path(tmp_path, f"{version}.sql").write_text(step)
    load = state.load_sql
    monkeypatch.setattr(
        state, "load_sql", lambda name: load(name) if "/" in name else (tmp_path / name).read_text()
    )
    monkeypatch.setattr(state, "VERSION", now + 2)
    monkeypatch.setattr(state, "STEPS", {step: f"{step}.sql" for step in steps})
    before = state.identity(conn)
    assert state.install(conn) == state.TargetIdentity(before.id, now + 2)
    assert conn.execute("SELECT count(three) FROM cdc.two").fetchone() == (0,)


CATALOGUE = """
    SELECT c.relname::text, c.relkind::text, a.attname::text,
        format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::text,
        pg_get_expr(d.adbin, d.adrelid), c.reloptions::text
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'cdc'::regnamespace
    UNION ALL
    SELECT tablename::text, 'index', indexname::text, indexdef, NULL, NULL, NULL, NULL
    FROM pg_indexes WHERE schemaname = 'cdc'
    UNION ALL
    SELECT conrelid::regclass::text, contype::text, conname::text, pg_get_constraintdef(oid),
        NULL, NULL, NULL, NULL
    FROM pg_constraint WHERE connamespace = 'cdc'::regnamespace
    UNION ALL
    SELECT proname::text, 'function', NULL, pg_get_functiondef(oid), NULL, NULL, NULL, NULL
    FROM pg_proc WHERE pronamespace = 'cdc'::regnamespace
    ORDER BY 1, 2, 3, 4
"""


def test_a_migrated_schema_is_a_new_one(target, monkeypatch):
    """A schema of version 1 that was brought up to date equals one that is made today."""
    version = state.VERSION
    with target.lease() as conn:
        state.install(conn)
        new = conn.execute(CATALOGUE).fetchall()
        conn.execute("DROP SCHEMA cdc CASCADE")
        monkeypatch.setattr(state, "VERSION", 1)
        state.install(conn)
        old = conn.execute(CATALOGUE).fetchall()
        monkeypatch.setattr(state, "VERSION", version)
        state.install(conn)
        assert old != new == conn.execute(CATALOGUE).fetchall()


def test_a_failing_step_changes_nothing(conn, monkeypatch, tmp_path):
    """A step that fails leaves the version before it."""
    load = state.load_sql
    monkeypatch.setattr(state, "load_sql", lambda name: load(name) if "/" in name else "SELECT 1/0")
    now = state.VERSION
    monkeypatch.setattr(state, "VERSION", now + 1)
    monkeypatch.setattr(state, "STEPS", {now + 1: "failing.sql"})
    with pytest.raises(TargetRefused, match="division by zero"):
        state.install(conn)
    assert conn.execute("SELECT version FROM cdc.target").fetchone() == (now,)


def test_somebody_elses_schema(target):
    """A schema cdc that is not ours is not touched; an empty one is taken."""
    with target.lease() as conn:
        conn.execute("CREATE SCHEMA cdc; CREATE TABLE cdc.theirs ()")
        with pytest.raises(TargetRefused, match="not ours"):
            state.install(conn)
        conn.execute("DROP TABLE cdc.theirs")
        assert state.install(conn).version == state.VERSION


def test_without_the_right_to_make_it(dsn):
    """A role that may not create a schema is told which right it needs."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS cdc_test_poor")
        admin.execute("CREATE ROLE cdc_test_poor LOGIN PASSWORD 'x'")
        try:
            with Target(make_conninfo(dsn, user="cdc_test_poor", password="x")) as target:
                with target.lease() as conn, pytest.raises(TargetRefused) as caught:
                    state.install(conn)
                assert "permission denied for database" in str(caught.value)
                assert "GRANT CREATE ON DATABASE" in caught.value.hint
                name = conninfo_to_dict(dsn)["dbname"]
                admin.execute(f"GRANT CREATE ON DATABASE {name} TO cdc_test_poor".encode())
                with target.lease() as conn:
                    assert state.install(conn).version == state.VERSION
        finally:
            admin.execute("DROP OWNED BY cdc_test_poor")
            admin.execute("DROP ROLE cdc_test_poor")


def test_sources(conn):
    """A source is registered, found, moved, given a state, started anew and forgotten."""
    known = state.source(conn, "legacy")
    assert (known.path, known.log_id, known.applied_seq) == ("/legacy.db", "log", 0)
    assert (known.applied_digest, known.applied_at, known.state) == (None, None, "new")
    state.set_state(conn, "legacy", "copying", "orders: 3 of 9")
    state.move_source(conn, "legacy", "/elsewhere.db")
    known = state.source(conn, "legacy")
    assert (known.state, known.message, known.path) == (
        "copying", "orders: 3 of 9", "/elsewhere.db",
    )  # fmt: skip
    conn.execute("INSERT INTO cdc.boundary VALUES ('legacy', 5, 1)")
    state.register_source(
        conn, "legacy", path="/new.db", log_id="other", applied_seq=9, digest=b"nine"
    )
    known = state.source(conn, "legacy")
    assert (known.log_id, known.applied_seq, known.applied_digest) == ("other", 9, b"nine")
    assert state.boundary_before(conn, "legacy", 100) is None
    assert state.sources(conn) == [known]
    state.forget_source(conn, "legacy")
    assert state.source(conn, "legacy") is None
    assert state.sources(conn) == []


def test_an_unchanged_state_is_not_written(conn):
    """Saying the same again costs no write."""
    state.set_state(conn, "legacy", "live", "")
    before = conn.execute("SELECT ctid FROM cdc.source").fetchone()
    state.set_state(conn, "legacy", "live", "")
    assert conn.execute("SELECT ctid FROM cdc.source").fetchone() == before


def test_forgetting_leaves_other_sources(conn, create):
    """Only the named source's tables and boundaries go."""
    create("t", id=BIGINT)
    state.register_source(conn, "other", path="/o", log_id="o", applied_seq=1, digest=None)
    conn.execute("INSERT INTO cdc.boundary VALUES ('legacy', 1, 1), ('other', 1, 1)")
    state.forget_source(conn, "other")
    assert [t.name for t in state.captured_tables(conn)] == ["t"]
    assert state.boundary_before(conn, "legacy", 9) == 1
    assert state.boundary_before(conn, "other", 9) is None


def test_boundaries(conn):
    """The boundary before a position is found; old ones are pruned in batches, never the newest."""
    conn.execute(
        "INSERT INTO cdc.boundary SELECT 'legacy', i * 10, 1000 + i FROM generate_series(1, 25) i"
    )
    conn.execute("INSERT INTO cdc.boundary VALUES ('other', 1, 1)")
    assert state.boundary_before(conn, "legacy", 99) == 90
    assert state.boundary_before(conn, "legacy", 90) == 90
    assert state.boundary_before(conn, "legacy", 9) is None
    assert state.prune_boundaries(conn, "legacy", before=1021, batch=7) == 20
    assert state.boundary_before(conn, "legacy", 209) is None
    assert state.prune_boundaries(conn, "legacy", before=9999, batch=2) == 4
    assert state.boundary_before(conn, "legacy", 999) == 250
    assert state.boundary_before(conn, "other", 1) == 1


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.binary().map(UndecodableText),
)


@given(st.tuples(VALUES, VALUES))
def test_stored_keys(key):
    """A key comes back from its stored form as it was, storage classes and all."""
    back = load_key(dump_key(key))
    assert repr(back) == repr(key)
    assert [type(v) for v in back] == [type(v) for v in key]
