"""The guard: until the gate opens, the target tables take writes from cdc alone."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from cdc.mapping.types import BIGINT, TEXT
from cdc.postgres.apply import Applier, Chunk, TableChanges
from cdc.postgres.gate import Gate, read_gate
from tests.support.waiting import wait_until

FOREIGN = [
    "INSERT INTO target.t VALUES (2, 'x')",
    "INSERT INTO target.t SELECT 2, 'x' WHERE false",
    "UPDATE target.t SET v = 'x'",
    "DELETE FROM target.t",
    "TRUNCATE target.t",
    "MERGE INTO target.t USING (VALUES (1)) s(i) ON id = s.i WHEN MATCHED THEN DELETE",
    "WITH d AS (DELETE FROM target.t RETURNING *) SELECT * FROM d",
]
LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture
def table(conn, create, advance):
    table = create("t", id=BIGINT, v=TEXT)
    Applier().apply(conn, advance(), [(table, TableChanges([(1, "one")], []))])
    return table


def test_the_gate_is_made_closed(conn):
    """A new target has SQLite as its master."""
    assert read_gate(conn) == Gate(open=False, epoch=1)


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("statement", FOREIGN)
def test_a_foreign_writer_is_refused(statement, role, table, outsider, content):
    """Every kind of statement, a superuser's too, and under session_replication_role = replica."""
    outsider.execute(f"SET session_replication_role = {role}")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match=r"target\.t is a copy"):
        outsider.execute(statement)
    assert content(table) == [(1, "one")]


def test_a_foreign_copy_is_refused(table, outsider, content):
    """COPY is a writer like any other."""
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        outsider.cursor().copy("COPY target.t FROM STDIN") as copy,
    ):
        copy.write("2\tx\n")
    assert content(table) == [(1, "one")]


@pytest.mark.parametrize("level", LEVELS)
def test_at_every_isolation_level(level, table, outsider):
    """The guard holds at each isolation level, and lets all pass at each once the gate is open."""
    outsider.execute(f"SET default_transaction_isolation = '{level}'")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        outsider.execute("DELETE FROM target.t")
    outsider.execute("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    outsider.execute("DELETE FROM target.t")


@pytest.mark.parametrize("level", LEVELS[2:])
def test_a_snapshot_from_before_the_switch_writes_nothing(level, dsn, table, outsider):
    """A transaction that began while the gate was open cannot write after it was closed."""
    outsider.execute("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    with psycopg.connect(dsn) as old:
        old.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        old.execute("SELECT count(*) FROM target.t")
        outsider.execute("UPDATE cdc.gate SET open = false, epoch = epoch + 1")
        with pytest.raises(psycopg.errors.SerializationFailure):
            old.execute("DELETE FROM target.t")
        old.rollback()


def test_a_statement_from_before_the_switch_writes_nothing(dsn, table, conn, outsider, advance):
    """At READ COMMITTED a statement keeps the snapshot with which it began: what has been applied
    since, it would pass over without a word, though it is let in only when the gate is open.
    """
    outsider.execute(DELAY)
    outsider.execute("SELECT pg_advisory_lock(4242)")
    with psycopg.connect(dsn, autocommit=True) as early, ThreadPoolExecutor(1) as thread:
        begun = thread.submit(early.execute, "UPDATE target.t SET v = 'late' WHERE id = 2")
        try:
            wait_until(lambda: outsider.execute(DELAYED).fetchone() == (1,))
            Applier().apply(conn, advance(), [(table, TableChanges([(2, "two")], []))])
            outsider.execute("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
        finally:
            outsider.execute("SELECT pg_advisory_unlock(4242)")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            begun.result()
        assert early.execute("UPDATE target.t SET v = 'late' WHERE id = 2").rowcount == 1


DELAY = """
CREATE FUNCTION target.wait() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(4242); RETURN NULL; END';
CREATE TRIGGER "A first" BEFORE UPDATE ON target.t FOR EACH STATEMENT
    EXECUTE FUNCTION target.wait()
"""
"""Before the guard, whose name comes later."""

DELAYED = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4242 AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def test_a_role_without_rights_in_cdc(table, outsider):
    """An application's role meets the guard's message, not an error about the schema cdc."""
    outsider.execute("DROP ROLE IF EXISTS cdc_test_app")
    outsider.execute("CREATE ROLE cdc_test_app")
    try:
        outsider.execute("GRANT USAGE ON SCHEMA target TO cdc_test_app")
        outsider.execute("GRANT ALL ON target.t TO cdc_test_app")
        outsider.execute("SET ROLE cdc_test_app")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as caught:
            outsider.execute("DELETE FROM target.t")
        assert "after the cutover" in caught.value.diag.message_hint
    finally:
        outsider.execute("RESET ROLE")
        outsider.execute("DROP OWNED BY cdc_test_app")
        outsider.execute("DROP ROLE cdc_test_app")


def test_the_pass_ends_with_the_transaction(table, conn):
    """What lets cdc through is gone after its transaction: other statements of it are refused."""
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("DELETE FROM target.t")


def test_ours_passes_in_every_way(table, conn, advance, content):
    """Arrays, COPY, fresh chunks and resyncs of ours all pass."""
    rows = [(i, "x") for i in range(3)]
    for applier in (Applier(bulk_rows=1), Applier(bulk_rows=100)):
        applier.apply(conn, advance(), [(table, TableChanges(rows, [(7,)]))])
        applier.apply(conn, advance(), [], Chunk(table, rows, None, None, fresh=True))
        applier.apply(conn, advance(), [], Chunk(table, rows, None, None, fresh=False))
    assert content(table) == rows


def test_closing_waits_for_writers(table, outsider, dsn):
    """Who takes the gate's lock exclusively waits for each transaction that passed it."""
    outsider.execute("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    with psycopg.connect(dsn) as writer:
        writer.execute("DELETE FROM target.t")
        outsider.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            outsider.execute("SELECT pg_advisory_xact_lock(cdc.gate_lock())")
        writer.rollback()
        outsider.execute("SELECT pg_advisory_xact_lock(cdc.gate_lock())")
