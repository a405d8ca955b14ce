"""What passes by itself, or can be put right at once, ends nothing and loses nothing."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.types.json import Jsonb

from cdc.errors import GateMoved, SchemaMoved, TargetRefused, TargetUnavailable
from cdc.pipeline import errand, session
from cdc.pipeline.daemon import Daemon
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import SessionEnded, open_session
from cdc.pipeline.worker import LOOKS_AGAIN
from cdc.postgres import requests
from cdc.postgres.translate import translated
from cdc.sqlite import connection
from cdc.stop import Stop
from tests.support.stepping import Stepper
from tests.support.waiting import wait_until

SHOP = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')"


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    site.configure()
    site.catch_up()
    return site


@pytest.fixture
def gate_turns(monkeypatch):
    """Has the gate seem to turn, so many times, when a batch is to be applied."""

    def arrange(times):
        step, left = Replication.step, [times]

        def turned(self):
            if left[0]:
                left[0] -= 1
                raise GateMoved("the gate was turned")
            return step(self)

        monkeypatch.setattr(Replication, "step", turned)

    return arrange


def test_a_gate_that_turns_is_looked_at_again(shop, gate_turns):
    """A cutover or a rollback may switch between two looks of ours."""
    gate_turns(LOOKS_AGAIN)
    shop.sqlite("INSERT INTO t VALUES (3, 'c')")
    shop.catch_up()
    shop.assert_equal()


def test_a_gate_that_is_not_ours_halts_the_source(shop, gate_turns):
    """As where PostgreSQL is master, and the file does not know of it."""
    gate_turns(LOOKS_AGAIN + 1)
    with pytest.raises(GateMoved):
        shop.catch_up()


def test_a_file_that_is_locked_at_the_start_is_waited_for(shop, monkeypatch):
    """As it is later: a writer that lasts keeps no daemon from starting."""
    monkeypatch.setattr(connection, "READ_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(connection, "READ_LOOKS", 2)
    with shop.target() as target:
        daemon = Daemon(shop.config, target, Stop())
        with shop.connection() as db:
            db.execute("BEGIN EXCLUSIVE")
            db.execute("INSERT INTO t VALUES (3, 'c')")
            daemon.open()
            db.execute("COMMIT")
        daemon.run(until_caught_up=True)
    shop.assert_equal()


@pytest.mark.parametrize("live", [True, False], ids=["under the daemon", "between two starts"])
def test_a_target_that_somebody_drops_is_made_and_copied_anew(shop, live):
    """What the target holds is in the file: nobody has to decide anything."""
    daemon = shop.daemon() if live else None
    shop.postgres("DROP TABLE t")
    shop.sqlite("INSERT INTO t VALUES (3, 'c')")
    if daemon is None:
        shop.catch_up()
        shop.assert_equal()
    else:
        shop.wait_until_equal(daemon=daemon)
        assert daemon.said("target_gone")
        assert daemon.stop() == 0


SET_ASIDE = {"table": "gone", "keys": [], "position": 0, "reason": "x"}


@pytest.mark.parametrize(
    ("kind", "argument", "words"),
    [("set aside", SET_ASIDE, "not replicated"), ("nonsense", None, "knows no 'nonsense'")],
)
def test_a_request_that_cannot_be_done_is_answered(shop, kind, argument, words):
    """Or it would end the daemon, and the next one, and so on."""
    daemon = shop.daemon()
    asked = "INSERT INTO cdc.request (source, kind, argument) VALUES ('shop', %s, %s)"
    shop.postgres(asked, kind, Jsonb(argument))
    answered = "SELECT answer ->> 'error' FROM cdc.request WHERE answered_at IS NOT NULL"
    [(error,)] = daemon.wait_until(lambda: shop.postgres(answered))
    assert words in error
    shop.sqlite("INSERT INTO t VALUES (3, 'c')")
    shop.wait_until_equal(daemon=daemon)


def test_a_request_that_meets_a_defect_is_answered_too(shop, monkeypatch):
    """And done with; what it has left behind goes with its session."""
    monkeypatch.setitem(errand.KINDS, "broken", lambda *_: 1 // 0)
    with shop.target() as target, target.lease() as conn:
        number = requests.ask(conn, "shop", "broken", None)
        [request] = requests.waiting(conn)
        with pytest.raises(SessionEnded):
            errand.answer(target, None, request)
        assert "nobody has foreseen (ZeroDivision" in requests.take_answer(conn, number)["error"]


def opened(site):
    """The tables of a session, as it finds them."""
    [source] = site.config.sources
    with site.target() as target:
        made = open_session(site.config, source, target, Stop())
        made.close()
        return made.tables


def test_a_commit_that_outlives_its_process_is_waited_for(shop):
    """The place of a copy that it moves would be read too early, and its chunk written twice."""
    with psycopg.connect(shop.dsn) as orphan, ThreadPoolExecutor() as pool:
        orphan.execute("SELECT FROM cdc.source FOR UPDATE")  # as whoever applies something
        orphan.execute("UPDATE cdc.captured_table SET copied_rows = 77")
        opening = pool.submit(opened, shop)
        waits = (
            "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('tuple', 'transactionid')"
        )
        wait_until(lambda: opening.done() or shop.postgres(waits))
        orphan.commit()
        [table] = opening.result()
    assert table.copied == 77


@pytest.fixture
def when_it_opens(monkeypatch):
    """Has the application do something once, when a session has just captured its tables."""

    def arrange(site, statements):
        fill, waiting = session.fill_mirrors, iter([statements])

        def late(*arguments, **options):
            for each in waiting:
                site.sqlite(each)
            return fill(*arguments, **options)

        monkeypatch.setattr(session, "fill_mirrors", late)

    return arrange


def test_a_vacuum_while_a_session_opens_is_noticed(site, when_it_opens):
    """It renumbers the rows of a table without a key, and tells nobody."""
    site.sqlite("CREATE TABLE visits (page TEXT, at REAL)")
    site.sqlite("INSERT INTO visits VALUES (?, ?)", *((f"p{i}", i) for i in range(30)))
    site.configure()
    site.catch_up()
    site.sqlite("DELETE FROM visits WHERE rowid % 3")
    site.catch_up()
    when_it_opens(site, "VACUUM")
    [source] = site.config.sources
    with site.target() as target:
        stepper = Stepper(site.config, source, target)
        with pytest.raises(SchemaMoved):
            stepper.run()
        stepper.close()
        site.sqlite("DELETE FROM visits WHERE rowid = 5")
        stepper.run()
        stepper.close()
    site.assert_equal()


def test_a_table_that_cannot_be_captured_any_more_stops_alone(shop, when_it_opens):
    """Though it was made anew when it was captured already, and its mirror not filled."""
    shop.sqlite(
        "CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT UNIQUE); INSERT INTO u VALUES (1, 1)"
    )
    when_it_opens(shop, "DROP TABLE u; CREATE TABLE u (rowid TEXT, oid TEXT, _rowid_ TEXT UNIQUE)")
    shop.sqlite("INSERT INTO t VALUES (3, 'c')")
    shop.catch_up()
    assert shop.postgres("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("tuple concurrently updated", TargetUnavailable),
        ("cache lookup failed for relation 16384", TargetUnavailable),
        ("could not open relation with OID 16384", TargetUnavailable),
        ("unexpected something", TargetRefused),
    ],
)
def test_what_the_server_says_when_two_cross_each_other(site, words, error):
    """It is an internal error of the server's, and over at the next try."""
    raised = f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = 'XX000'; END $$"
    with psycopg.connect(site.dsn) as conn, pytest.raises(error), translated("try"):
        conn.execute(raised)
