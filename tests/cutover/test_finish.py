"""The end of the way back: nothing is given up before all has come back, and then all is."""

import threading

import psycopg
import pytest

from cdc.cutover.back import Rollback
from cdc.cutover.end import Finish
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.postgres import release
from cdc.postgres.connection import Target
from cdc.sqlite.connection import SourceFile
from tests.support.page import Page
from tests.support.waiting import wait_until

from .conftest import run, succeed
from .shop import die, masters, moved_over, returning, sqlite_writes


@pytest.fixture
def moved(site):
    return moved_over(site)


def ours(site) -> list:
    """What of cdc's stands on the tables of the application, or would be written by it."""
    return site.postgres(
        "SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE p.pronamespace = 'cdc'::regnamespace"
        " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'cdc'::regnamespace"
        " AND proname LIKE 'queue%%' AND proname <> 'queue_body'"
        " UNION ALL SELECT relname FROM pg_class WHERE oid = to_regclass('cdc.queue')"
    )


def test_the_end_leaves_postgresql_free_and_the_files_as_they_were(moved):
    """The daemon ends by itself with exit code 0, and each command says that all is finished."""
    moved.postgres("INSERT INTO orders (item, price) VALUES ('last', 9.25)")
    (daemon,) = moved.cdc._started
    asked = moved.cdc("finish")
    assert asked.code == 2  # nobody is there to be asked
    assert len(ours(moved)) > 0
    done = moved.cdc("finish", "--yes", "--json", "--html", "end.html")
    assert (done.code, done.json["outcome"]) == (0, "finished"), done
    assert sorted(done.json["released"]["tables"]) == ["public.logs", "public.orders"]
    assert done.json["given_up"] == []
    assert {each["name"] for each in done.json["sources"]} == {"shop", "other"}
    assert done.json["way_back_seconds"] > 0
    page = Page((moved.folder / "end.html").read_text(encoding="utf-8"))
    assert page.text.startswith("The end of the way back")
    assert "triggers of public.logs, public.orders; the queue" in page.text
    assert daemon.ended() == 0
    assert len(daemon.said("finished")) == 2
    assert ours(moved) == []
    moved.postgres("UPDATE orders SET price = 1 WHERE id = 1; TRUNCATE logs")
    assert moved.sqlite("SELECT price FROM orders WHERE item = 'last'") == [(9.25,)]
    assert not sqlite_writes(moved)
    status = moved.cdc("status")
    assert "for good since" in status.out
    report = moved.cdc("status", "--json").json
    assert (report["mode"], report["finished_at"] is not None) == ("active", True)
    for words in ("cutover --yes", "rollback --yes", "verify", "thaw", "run"):
        outcome = moved.cdc(*words.split())
        assert outcome.code == (0 if words == "run" else 1), outcome
        assert "for good since" in outcome.out + outcome.err, outcome
    assert not sqlite_writes(moved)
    again = moved.cdc("finish", "--yes", "--json")
    assert (again.code, again.json["outcome"]) == (0, "finished")
    assert again.json["finished_at"] == done.json["finished_at"]
    freed = moved.cdc("uninstall")
    assert freed.code == 0
    assert "nothing carries them there" in freed.err
    assert sqlite_writes(moved)


def test_it_refuses_as_long_as_sqlite_does_not_have_it_all(moved):
    """A row that the way back has lost; nobody who brings rows back; SQLite as master."""
    with psycopg.connect(moved.dsn) as conn:
        conn.execute("SET LOCAL cdc.session = 'on'")
        conn.execute("UPDATE orders SET price = 77 WHERE id = 1")
    report = run(moved, Finish)
    assert (report.outcome, "shop" in report.reason) == ("aborted", True), report
    assert masters(moved) == (False, True)
    with psycopg.connect(moved.dsn) as conn:
        conn.execute("SET LOCAL cdc.session = 'on'")
        conn.execute("UPDATE orders SET price = 1.5 WHERE id = 1")
    (daemon,) = moved.cdc._started
    daemon.stop()
    report = run(moved, Finish)
    assert "nobody brings rows back" in report.reason
    moved.start()
    wait_until(lambda: returning(moved))
    succeed(moved, Rollback)
    report = run(moved, Finish)
    assert (report.outcome, report.exit_code) == ("aborted", 1)
    assert "SQLite is the master" in report.reason
    assert masters(moved) == (True, False)
    assert len(ours(moved)) > 0


def test_an_interrupt_is_told_and_the_next_run_goes_on(moved):
    def at(state: str) -> None:
        if state == "ended":
            raise KeyboardInterrupt

    report = run(moved, Finish, at=at)
    assert report.exit_code == 1
    assert "stopped by the operator before its end (run cdc finish again)" in report.reason
    assert run(moved, Finish).outcome == "finished"
    assert ours(moved) == []


def test_what_is_abandoned_is_named(moved):
    """Without the daemon, and with a write that never came back."""
    (daemon,) = moved.cdc._started
    daemon.kill()
    moved.postgres("INSERT INTO orders (item) VALUES ('here alone')")
    done = moved.cdc("finish", "--yes", "--abandon", "--json")
    assert (done.code, done.json["outcome"]) == (0, "finished"), done
    assert any("nobody brings rows back" in words for words in done.json["given_up"])
    assert done.json["released"]["queue_entries"] == 1
    assert ours(moved) == []
    assert not sqlite_writes(moved)
    loss = moved.cdc("rollback", "--yes", "--accept-loss", "--json")
    assert loss.json["outcome"] == "aborted"


def test_a_kill_at_any_state_is_ended_by_the_next_run(moved):
    """Until `ended` the way back is open; behind it there is none, and nothing is half done."""
    die(moved, "finish", "begun")
    succeed(moved, Rollback)
    assert masters(moved) == (True, False)
    wait_until(moved.caught_up)
    assert moved.prove(full=True).converged
    succeed(moved, Cutover)
    wait_until(lambda: returning(moved))
    die(moved, "finish", "ended")
    for kind in (Cutover, Rollback):
        report = run(moved, kind)
        assert (report.outcome, "cdc finish again" in report.reason) == ("aborted", True), report
    assert masters(moved) == (False, True)
    for state in ("sealed", "released"):
        die(moved, "finish", state)
        assert masters(moved) == (False, True), state
    report = run(moved, Finish)
    assert (report.outcome, report.trouble) == ("finished", []), report
    assert ours(moved) == []
    assert masters(moved) == (False, True)


def test_a_transaction_that_stays_open_is_waited_for_without_holding_up_others(moved, monkeypatch):
    """A table is tried for a moment, again and again; who writes meanwhile waits no longer."""
    tries = []
    real = release._try

    def count(conn, statements):
        tries.append(statements)
        real(conn, statements)

    monkeypatch.setattr(release, "_try", count)
    with psycopg.connect(moved.dsn) as open_one:
        open_one.execute("UPDATE orders SET price = price WHERE id = 1")

        def finish():
            with Target(moved.dsn) as target, local_journal(moved.config) as journal:
                reports.append(Finish(moved.config, target, journal, abandon=True).run())

        reports: list = []
        thread = threading.Thread(target=finish)
        thread.start()
        wait_until(lambda: len(tries) >= 3)
        with psycopg.connect(moved.dsn, autocommit=True) as other:
            other.execute("SET lock_timeout = '20s'")
            for _ in range(10):
                other.execute("UPDATE orders SET price = price WHERE id = 2")
        assert thread.is_alive()
    thread.join(60)
    (report,) = reports
    assert report.outcome == "finished", report
    assert len(tries) >= 4
    assert ours(moved) == []


def test_a_file_that_died_in_the_middle_of_it_takes_no_rows(moved):
    """The mark in the file ends the way back, whatever PostgreSQL says."""
    with SourceFile(moved.file()) as file, file.reading():
        before = list(file.query("SELECT finished_at FROM _cdc_reverse"))
    assert before == [(None,)]
    die(moved, "finish", "sealed")
    (daemon,) = moved.cdc._started
    assert daemon.ended() == 0
    moved.postgres("INSERT INTO orders (item) VALUES ('late')")
    assert "for good since" in moved.cdc("run").err
    assert moved.sqlite("SELECT count(*) FROM orders WHERE item = 'late'") == [(0,)]
