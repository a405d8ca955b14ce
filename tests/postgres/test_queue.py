"""The queue: what others write while the gate is open is found there, whatever wrote it."""

import datetime as dt
from decimal import Decimal

import psycopg
import pytest

from cdc.errors import GateHeld, GateMoved, TargetUnavailable
from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, NUMERIC, TEXT, target_type
from cdc.postgres import queue, state
from cdc.postgres.apply import Applier, TableChanges
from cdc.postgres.gate import Gate, close_gate, open_gate, read_gate

from .conftest import SOURCE

LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
MOMENT = target_type("timestamptz", "TEXT")


@pytest.fixture
def table(conn, create, advance):
    """A table of two rows, followed, behind an open gate."""
    made = create("t", id=BIGINT, v=TEXT)
    Applier().apply(conn, advance(), [(made, TableChanges([(1, "one"), (2, "two")], []))])
    queue.follow(conn, SOURCE, [made])
    open_gate(conn, 1, wait_seconds=1)
    return made


@pytest.fixture
def entries(outsider):
    """What the queue holds: operation and key of each entry."""

    def read():
        return outsider.execute("SELECT op::text, key FROM cdc.queue ORDER BY id").fetchall()

    return read


def take(conn, *tables, limit=1000):
    return queue.take(conn, SOURCE, tables, limit=limit)


def rows(batch):
    return {row.key: (row.values, row.whole) for table in batch.tables for row in table.rows}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("INSERT INTO target.t VALUES (3, 'x')", [("i", [3])]),
        ("UPDATE target.t SET v = 'x'", [("u", [1]), ("u", [2])]),
        ("UPDATE target.t SET id = 7 WHERE id = 1", [("d", [1]), ("i", [7])]),
        ("DELETE FROM target.t WHERE id = 1", [("d", [1])]),
        ("TRUNCATE target.t", [("t", None)]),
        ("UPDATE target.t SET v = 'x' WHERE false", []),
        (
            "INSERT INTO target.t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'",
            [("u", [1])],
        ),
        (
            "MERGE INTO target.t USING (VALUES (1)) s(i) ON id = s.i WHEN MATCHED THEN DELETE",
            [("d", [1])],
        ),
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_every_kind_of_write_is_queued(statement, found, role, table, outsider, entries):  # noqa: PLR0917  (fixtures)
    """Under session_replication_role = replica, too, where ordinary triggers are silent."""
    outsider.execute(f"SET session_replication_role = {role}")
    outsider.execute(statement)
    assert entries() == found


def test_a_copy_is_queued(table, outsider, entries):
    with outsider.cursor().copy("COPY target.t FROM STDIN") as copy:
        copy.write("3\tx\n4\ty\n")
    assert entries() == [("i", [3]), ("i", [4])]


def test_what_cdc_writes_is_not_queued(conn, create, advance, entries):
    """Nor is anything while the gate is closed: there is nobody else to write."""
    table = create("t", id=BIGINT, v=TEXT)
    queue.follow(conn, SOURCE, [table])
    Applier(bulk_rows=1).apply(conn, advance(), [(table, TableChanges([(1, "x")], [(2,)]))])
    assert entries() == []


def test_a_role_without_rights_in_cdc_is_queued(table, outsider, entries):
    outsider.execute("DROP ROLE IF EXISTS cdc_test_queue")
    outsider.execute("CREATE ROLE cdc_test_queue")
    try:
        outsider.execute("GRANT USAGE ON SCHEMA target TO cdc_test_queue")
        outsider.execute("GRANT ALL ON target.t TO cdc_test_queue")
        outsider.execute("SET ROLE cdc_test_queue")
        outsider.execute("DELETE FROM target.t WHERE id = 1")
        outsider.execute("RESET ROLE")
        assert entries() == [("d", [1])]
    finally:
        outsider.execute("RESET ROLE")
        outsider.execute("DROP OWNED BY cdc_test_queue")
        outsider.execute("DROP ROLE cdc_test_queue")


def test_a_batch_holds_the_rows_as_they_are_now(conn, table, outsider):
    """One entry for each key, whatever happened to it; a key without a row says so."""
    outsider.execute("UPDATE target.t SET v = 'once' WHERE id = 1")
    outsider.execute("UPDATE target.t SET v = 'twice' WHERE id = 1")
    outsider.execute("DELETE FROM target.t WHERE id = 2")
    outsider.execute("INSERT INTO target.t VALUES (3, 'new'), (4, 'short-lived')")
    outsider.execute("DELETE FROM target.t WHERE id = 4")
    batch = take(conn, table)
    assert rows(batch) == {
        (1,): ((1, "twice"), False),
        (2,): (None, True),
        (3,): ((3, "new"), False),
        (4,): (None, True),
    }
    assert batch.complete
    assert len(batch.ids) == 6
    assert batch.oldest is not None


def test_taking_changes_nothing_and_pruning_takes_exactly_the_ids(conn, table, outsider):
    """An entry whose id is lower, of a transaction that commits later, is not lost."""
    late = psycopg.connect(outsider.info.dsn)
    late.execute("DELETE FROM target.t WHERE id = 1")
    outsider.execute("DELETE FROM target.t WHERE id = 2")
    batch = take(conn, table)
    assert rows(batch) == {(2,): (None, True)}
    assert take(conn, table) == batch
    late.commit()
    late.close()
    queue.prune(conn, SOURCE, batch.ids)
    assert rows(take(conn, table)) == {(1,): (None, True)}
    assert queue.backlog(conn, SOURCE).entries == 1
    assert queue.waiting(conn, SOURCE)


def test_a_batch_ends_at_its_limit(conn, table, outsider):
    """And knows that it does; a key that comes up again behind it is not whole for that."""
    outsider.execute("UPDATE target.t SET v = 'x' WHERE id = 1")
    outsider.execute("DELETE FROM target.t WHERE id = 1")
    outsider.execute("INSERT INTO target.t VALUES (1, 'again')")
    first = take(conn, table, limit=1)
    assert (first.complete, rows(first)) == (False, {(1,): ((1, "again"), False)})
    assert rows(take(conn, table, limit=2)) == {(1,): ((1, "again"), True)}


def test_a_truncated_table_is_read_whole(conn, table, outsider):
    outsider.execute("TRUNCATE target.t")
    outsider.execute("INSERT INTO target.t VALUES (9, 'nine')")
    outsider.execute("DELETE FROM target.t WHERE id = 3")
    (found,) = take(conn, table).tables
    assert found.truncated
    assert [(row.key, row.values) for row in found.rows] == [((9,), (9, "nine"))]


def test_a_table_that_is_being_truncated_is_waited_for(conn, table, outsider, monkeypatch):
    """To a snapshot older than the TRUNCATE the table would look empty, without a reason."""
    monkeypatch.setattr(queue, "LOCK_SECONDS", 0.1)
    outsider.execute("DELETE FROM target.t WHERE id = 1")
    with psycopg.connect(outsider.info.dsn) as other:
        other.execute("TRUNCATE target.t")
        with pytest.raises(TargetUnavailable, match="lock"):
            take(conn, table)
        other.rollback()
    assert rows(take(conn, table)) == {(1,): (None, True)}


KEYS = {
    "text": (TEXT, ["", "it's", 'quo"te', "ü\U0001f600", "null"]),
    "bytes": (BYTEA, [b"", b"\0\xff"]),
    "double": (DOUBLE, [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -1e23]),
    "numeric": (NUMERIC, [Decimal("0.10"), Decimal(10) ** 30, Decimal("-1E-30")]),
    "bigint": (BIGINT, [-(2**63), 2**63 - 1, 2**53 + 1]),
    "moment": (MOMENT, [dt.datetime(2025, 11, 2, 5, 30, 0, 123456, dt.UTC)]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_are_exact(kind, conn, create, outsider):
    """Whatever the settings of the session that writes make of a value as text."""
    type_, values = KEYS[kind]
    table = create("odd", "target", ["a", "k"], a=BIGINT, k=type_, v=TEXT)
    queue.follow(conn, SOURCE, [table])
    open_gate(conn, 1, wait_seconds=1)
    outsider.execute("SET DateStyle = 'SQL, DMY'; SET TimeZone = 'America/New_York'")
    outsider.execute("SET extra_float_digits = 0; SET bytea_output = 'escape'")
    for i, value in enumerate(values):
        outsider.execute("INSERT INTO target.odd VALUES (%s, %s, 'v')", (i, value))
    assert rows(take(conn, table)) == {
        (i, value): ((i, value, "v"), False) for i, value in enumerate(values)
    }


@pytest.mark.parametrize("value", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
def test_a_moment_that_python_does_not_know_is_said_to_be_one(value, conn, create, outsider):
    """It does not fail the batch of all the others."""
    table = create("t", id=BIGINT, at=MOMENT)
    queue.follow(conn, SOURCE, [table])
    open_gate(conn, 1, wait_seconds=1)
    outsider.execute("INSERT INTO target.t VALUES (1, %s), (2, '2025-01-01Z')", (value,))
    found = rows(take(conn, table))
    assert isinstance(found[1,][0][1], queue.Unreadable)
    assert found[2,][0][1] == dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def test_following_again_changes_nothing_and_follows_a_renamed_key(conn, create, outsider, shape):
    """The function of a table is its own, and goes with it."""
    table = create("t", id=BIGINT, v=TEXT)
    functions = "SELECT proname FROM pg_proc WHERE proname ~ '^queue_[0-9a-f]{32}$'"
    queue.follow(conn, SOURCE, [table])
    before = outsider.execute(functions).fetchall()
    queue.follow(conn, SOURCE, [table])
    assert outsider.execute(functions).fetchall() == before
    outsider.execute("ALTER TABLE target.t RENAME COLUMN id TO number")
    queue.follow(conn, SOURCE, [shape("t", number=BIGINT, v=TEXT)])
    assert outsider.execute(functions).fetchall() != before
    outsider.execute("DROP TABLE target.t")
    queue.follow(conn, SOURCE, [create("u", id=BIGINT)])
    assert len(outsider.execute(functions).fetchall()) == 1


def test_a_forgotten_source_has_no_queue(conn, table, outsider, entries):
    outsider.execute("DELETE FROM target.t")
    state.forget_source(conn, SOURCE)
    assert entries() == []


def test_the_gate_is_turned_from_where_it_was_seen(conn, create):
    """Each turn makes a new epoch; a turn from an old one is refused, as is one in vain."""
    assert open_gate(conn, 1, wait_seconds=1) == Gate(open=True, epoch=2) == read_gate(conn)
    for turn, epoch in ((close_gate, 1), (open_gate, 2)):
        with pytest.raises(GateMoved, match="the gate is open, at epoch 2"):
            turn(conn, epoch, wait_seconds=1)
    assert close_gate(conn, 2, wait_seconds=1) == Gate(open=False, epoch=3) == read_gate(conn)


@pytest.mark.parametrize("level", LEVELS)
def test_closing_names_who_it_waits_for(level, conn, table, outsider):
    """A transaction that has written commits before the gate closes, and is then in the queue."""
    with psycopg.connect(outsider.info.dsn, application_name="desk") as writer:
        writer.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        writer.execute("DELETE FROM target.t WHERE id = 1")
        pid = writer.info.backend_pid
        with pytest.raises(GateHeld, match=rf"pid {pid} \(\w+, desk; idle in transaction for"):
            close_gate(conn, 2, wait_seconds=0.05)
        assert read_gate(conn) == Gate(open=True, epoch=2)
    close_gate(conn, 2, wait_seconds=1)
    assert rows(take(conn, table)) == {(1,): (None, True)}
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        outsider.execute("DELETE FROM target.t")


def test_the_gate_turns_with_the_transaction_of_its_caller(conn, table):
    """The switch is one transaction: what else it writes and the gate, or nothing."""
    with conn.transaction(force_rollback=True):
        assert close_gate(conn, 2, wait_seconds=1) == read_gate(conn)
    assert read_gate(conn) == Gate(open=True, epoch=2)


def test_a_vacuum_delays_nothing(conn, table, outsider):
    """The gate is a row and a lock of its own; no lock on a table is asked for."""
    with psycopg.connect(outsider.info.dsn) as vacuum:
        # The lock that VACUUM holds from its beginning to its end.
        vacuum.execute("LOCK TABLE target.t IN SHARE UPDATE EXCLUSIVE MODE")
        assert close_gate(conn, 2, wait_seconds=0.5).open is False
        take(conn, table)
