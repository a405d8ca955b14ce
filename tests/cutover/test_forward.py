"""Cutover and way back: what each step leaves, and what stops it."""

import os
import signal

import psycopg
import pytest

from cdc.cutover import recovery
from cdc.cutover.atrest import AtRest
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from tests.support.sites import Site
from tests.support.waiting import wait_until

from .conftest import run, succeed
from .shop import masters, replicated, returning, sqlite_writes


@pytest.fixture
def shop(site):
    return replicated(site)


def test_numbers_go_on_behind_those_of_rows_long_gone(shop):
    """On both sides: 3 was given to a row that was deleted, 4 to one that PostgreSQL deletes."""
    run(shop, Cutover)
    shop.postgres("INSERT INTO orders (item) VALUES ('new')")
    assert shop.postgres("SELECT id FROM orders WHERE item = 'new'") == [(4,)]
    shop.postgres("INSERT INTO logs (line) VALUES ('new')")
    assert shop.postgres("SELECT max(id) FROM logs") == [(8,)]
    shop.postgres("DELETE FROM orders WHERE item = 'new'")
    wait_until(lambda: returning(shop))
    succeed(shop, Rollback)
    shop.sqlite("INSERT INTO orders (item) VALUES ('newer')")
    assert shop.sqlite("SELECT id FROM orders WHERE item = 'newer'") == [(5,)]


def test_a_row_that_differs_inside_the_hold_stops_the_cutover(shop, monkeypatch):
    """Planted past the guard at the last moment, and the legacy system goes on."""
    settle = AtRest.settle

    def and_written_again(at_rest) -> None:
        settle(at_rest)
        shop.sqlite("UPDATE orders SET price = 1.25 WHERE id = 1")
        wait_until(shop.caught_up)

    monkeypatch.setattr(AtRest, "settle", and_written_again)

    def at(state: str) -> None:
        if state == "drained":
            with psycopg.connect(shop.dsn) as conn:
                conn.execute("SET LOCAL cdc.session = 'on'")
                conn.execute("UPDATE orders SET price = 99 WHERE id = 1")

    report = run(shop, Cutover, at=at)
    assert report.outcome == "aborted"
    assert "shop in 1 rows" in report.reason, report
    assert masters(shop) == (True, False)


def test_what_is_written_once_a_hold_has_ended_by_itself_is_no_difference(shop, monkeypatch):
    """A proof on a busy machine may still be under way then: the files are held once more."""
    check, checks = AtRest.check, []
    daemon = shop.lags()[0].holder.pid

    def late(at_rest, seconds):
        checks.append(seconds)
        try:
            if len(checks) == 1:
                # Waits for the end of the hold, and for that of any read: the daemon is stopped in
                # none. PostgreSQL has not heard of it when it is compared.
                with shop.connection() as db:
                    db.execute("BEGIN EXCLUSIVE")
                    os.kill(daemon, signal.SIGSTOP)
                    os.waitpid(daemon, os.WUNTRACED)
                    db.execute("UPDATE orders SET price = 7.5 WHERE id = 1; COMMIT")
            return check(at_rest, seconds)
        finally:
            os.kill(daemon, signal.SIGCONT)

    monkeypatch.setattr(AtRest, "check", late)
    report = run(shop, Cutover)
    assert report.outcome == "switched", report
    # Another attempt because of the first comparison, and as many as a slow machine takes besides.
    assert len(report.held) >= len(checks) >= 2
    assert shop.postgres("SELECT price FROM orders WHERE id = 1") == [(7.5,)]


def test_a_failed_regression_is_named_and_the_lock_flag_stays(shop):
    """PostgreSQL stays master; the operator decides."""
    (shop.folder / "fail").touch()
    report = run(shop, Cutover)
    assert (report.outcome, report.exit_code) == ("switched", 1)
    assert "regression" in report.trouble[0]
    assert (shop.folder / ".env").read_text() == "DB_ENGINE=postgresql\nLOCK=true\n"


def test_the_commands_say_what_was_done_and_thaw_refuses_a_sealed_file(shop):
    dry = shop.cdc("cutover", "--dry-run", "--json")
    assert (dry.code, dry.json["passed"]) == (0, True), dry
    assert masters(shop) == (True, False)
    assert shop.cdc("cutover").code == 2  # nobody is there to be asked
    done = shop.cdc("cutover", "--yes", "--json", "--html", "report.html")
    assert (done.code, done.json["outcome"]) == (0, "switched"), done
    assert "PostgreSQL takes the writes." in (shop.folder / "report.html").read_text()
    assert shop.cdc("cutover", "--last", "--json").json == done.json
    assert done.json["freeze_seconds"] > 0
    assert [p["name"] for p in done.json["phases"]] == [
        "preflight", "stop", "proof", "freeze", "switch", "start", "validate",
    ]  # fmt: skip
    thaw = shop.cdc("thaw")
    assert thaw.code == 3
    assert "cdc rollback" in thaw.err
    again = shop.cdc("cutover", "--yes")
    assert again.code == 1
    assert "master" in again.out + again.err
    lossless = shop.cdc("rollback", "--yes", "--accept-loss", "--json")
    assert (lossless.code, lossless.json["outcome"]) == (1, "aborted")
    assert masters(shop) == (False, True)


def test_with_postgresql_lost_behind_the_seal_nothing_thaws_until_it_can_be_asked(
    tmp_path, cdc, private_server, private_dsn, monkeypatch
):
    """Whether it had switched nobody can know; once it is back, its journal says so."""
    shop = replicated(Site(tmp_path, private_dsn, cdc))

    def at(state: str) -> None:
        if state == "sealed":
            monkeypatch.setattr(recovery, "PATIENCE_SECONDS", 0.2)  # nothing will come any more
            private_server.stop("immediate")

    report = run(shop, Cutover, at=at)
    assert (report.outcome, report.exit_code) == ("in_doubt", 3), report
    assert not sqlite_writes(shop)
    assert shop.cdc("cutover", "--yes", "--json").json["outcome"] == "in_doubt"
    assert not sqlite_writes(shop)
    private_server.start()
    done = shop.cdc("cutover", "--yes", "--json")
    assert (done.code, done.json["outcome"]) == (1, "aborted"), done
    assert sqlite_writes(shop)
