"""Cutover and way back: no acknowledged write is lost, and at every instant one side is master."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import apsw
import psycopg
import pytest

from cdc.cutover import recovery
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.postgres import switches
from cdc.postgres.connection import Target
from tests.support.command import ROOT
from tests.support.sites import Site
from tests.support.waiting import wait_until

HERE = Path(__file__).parent

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT UNIQUE, price REAL);
INSERT INTO orders (item, price) VALUES ('a', 1.5), ('b', 2.5), ('c', 3.5);
DELETE FROM orders WHERE item = 'c';
"""
OTHER = "CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT); INSERT INTO logs VALUES (7, 'x')"

MORE = """
[cutover]
hold_ms = 2000
env_file = ".env"
env_switched = { DB_ENGINE = "postgresql", LOCK = "true" }
env_open = { LOCK = "false" }
env_rolled_back = { DB_ENGINE = "sqlite" }

[[hooks]]
on = "regression"
command = ["sh", "-c", "test ! -e fail"]
"""
"""The bound of a hold is a generous one: other tests share the machine."""


@pytest.fixture
def shop(site):
    return replicated(site)


def replicated(site):
    """Two files, replicated by a running daemon, and proven."""
    site.sqlite(SHOP)
    site.sqlite(OTHER, name="other.db")
    (site.folder / ".env").write_text("DB_ENGINE=sqlite\n")
    site.configure("shop.db", "other.db", more=MORE, poll_ms=100)
    site.daemon()
    wait_until(site.caught_up)
    prove(site)
    return site


def prove(site) -> None:
    assert site.prove(full=True).converged


def run(site, kind):
    """A cutover or a rollback, without the cost of a process of its own."""
    with Target(site.dsn) as target, local_journal(site.config) as journal:
        return kind(site.config, target, journal).run()


def returning(site) -> bool:
    return all(lag.state == "returning" for lag in site.lags())


def mode(site) -> str:
    with site.target() as target, target.lease() as conn:
        return switches.mode(conn, switches.SINCE_VERSION)


def sqlite_writes(site) -> bool:
    """Whether SQLite takes writes, tried in a transaction that is rolled back."""
    with site.connection() as db:
        db.execute("BEGIN")
        try:
            db.execute("UPDATE orders SET price = price")
        except apsw.ConstraintError:
            return False
        finally:
            db.execute("ROLLBACK")
    return True


def postgres_writes(site) -> bool:
    with psycopg.connect(site.dsn) as conn:
        try:
            conn.execute("UPDATE orders SET price = price")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        finally:
            conn.rollback()
    return True


def masters(site) -> tuple[bool, bool]:
    """Whether SQLite takes writes, and PostgreSQL; never both, whichever is asked first."""
    return sqlite_writes(site), postgres_writes(site)


@contextmanager
def writer(first: int, *where: str):
    """A retrying writer; the list of what was acknowledged is full when the block has ended."""
    process = subprocess.Popen(
        [sys.executable, HERE / "retrying.py", str(first), *where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    acknowledged: list[int] = []
    try:
        assert process.stdout is not None
        acknowledged.append(int(process.stdout.readline()))
        yield acknowledged
        out, _ = process.communicate("", timeout=30)
        acknowledged += map(int, out.split())
    finally:
        process.kill()
        process.wait()


def written(site) -> set[int]:
    rows = site.sqlite("SELECT item FROM orders WHERE item GLOB 'w*'")
    return {int(item[1:]) for (item,) in rows}


def test_no_acknowledged_write_is_lost_on_the_way_there_and_back_and_there_again(shop):
    """Whatever was acknowledged by the side that was asked is in both of them at the end."""
    acknowledged: list[int] = []
    with writer(0, str(shop.file())) as seen:
        report = run(shop, Cutover)
    acknowledged += seen
    assert (report.outcome, report.trouble) == ("switched", []), report
    assert masters(shop) == (False, True)
    assert mode(shop) == "active"
    assert (shop.folder / ".env").read_text() == "DB_ENGINE=postgresql\nLOCK=false\n"
    wait_until(lambda: returning(shop))
    with writer(10_000, "--postgres", shop.dsn) as seen:
        report = run(shop, Rollback)
    acknowledged += seen
    assert (report.outcome, report.trouble) == ("rolled_back", []), report
    assert masters(shop) == (True, False)
    assert (shop.folder / ".env").read_text() == "DB_ENGINE=sqlite\nLOCK=false\n"
    assert set(acknowledged) <= written(shop)
    with writer(20_000, str(shop.file())) as seen:
        wait_until(shop.caught_up)
        prove(shop)
        report = run(shop, Cutover)
    acknowledged += seen
    assert report.outcome == "switched", report
    assert written(shop) == set(acknowledged)
    in_postgres = shop.postgres("SELECT item FROM orders WHERE item LIKE 'w%'")
    assert {int(item[1:]) for (item,) in in_postgres} == set(acknowledged)


def test_numbers_go_on_behind_those_of_rows_long_gone(shop):
    """On both sides: 3 was given to a row that was deleted, 4 to one that PostgreSQL deletes."""
    run(shop, Cutover)
    shop.postgres("INSERT INTO orders (item) VALUES ('new')")
    assert shop.postgres("SELECT id FROM orders WHERE item = 'new'") == [(4,)]
    shop.postgres("INSERT INTO logs (line) VALUES ('new')")
    assert shop.postgres("SELECT max(id) FROM logs") == [(8,)]
    shop.postgres("DELETE FROM orders WHERE item = 'new'")
    wait_until(lambda: returning(shop))
    assert run(shop, Rollback).outcome == "rolled_back"
    shop.sqlite("INSERT INTO orders (item) VALUES ('newer')")
    assert shop.sqlite("SELECT id FROM orders WHERE item = 'newer'") == [(5,)]


def die(site, kind, state) -> None:
    ended = subprocess.run(
        [sys.executable, HERE / "dying.py", site.config_path, kind, state],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -9, ended


def test_a_kill_at_any_state_is_undone_or_finished_by_the_next_run(shop):
    """Before the switch SQLite goes on, behind it PostgreSQL; at no instant do both take writes."""
    for state in ("held", "proven", "intended", "sealed"):
        die(shop, "cutover", state)
        assert masters(shop) == (state != "sealed", False), state
        report = run(shop, Cutover)
        assert report.outcome == "aborted", report
        assert masters(shop) == (True, False), state
        assert not (shop.folder / ".cdc" / "cutover.json").exists()
    die(shop, "cutover", "switched")
    assert masters(shop) == (False, True)
    assert run(shop, Cutover).outcome == "switched"
    wait_until(lambda: returning(shop))
    for state in ("begun", "closed", "proven"):
        die(shop, "rollback", state)
        assert masters(shop) == (False, state == "begun"), state
        assert mode(shop) == ("active" if state == "begun" else "rollback")
    assert run(shop, Cutover).outcome == "aborted"
    assert masters(shop) == (False, True)
    wait_until(lambda: returning(shop))
    die(shop, "rollback", "switched")
    assert masters(shop) == (False, False)
    assert run(shop, Rollback).outcome == "rolled_back"
    assert masters(shop) == (True, False)


def test_a_row_that_differs_inside_the_hold_stops_the_cutover(shop):
    """Planted past the guard at the last moment, and the legacy system goes on."""

    def tell(words: str) -> None:
        if words.startswith("proving"):
            shop.sqlite("UPDATE orders SET price = 1.25 WHERE id = 1")
            wait_until(shop.caught_up)

    def at(state: str) -> None:
        if state == "drained":
            with psycopg.connect(shop.dsn) as conn:
                conn.execute("SET LOCAL cdc.session = 'on'")
                conn.execute("UPDATE orders SET price = 99 WHERE id = 1")

    with Target(shop.dsn) as target, local_journal(shop.config) as journal:
        report = Cutover(shop.config, target, journal, tell=tell, at=at).run()
    assert report.outcome == "aborted"
    assert "shop in 1 rows" in report.reason, report
    assert masters(shop) == (True, False)


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
    done = shop.cdc("cutover", "--yes", "--json")
    assert (done.code, done.json["outcome"]) == (0, "switched"), done
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
    monkeypatch.setattr(recovery, "PATIENCE_SECONDS", 0.2)
    shop = replicated(Site(tmp_path, private_dsn, cdc))

    def at(state: str) -> None:
        if state == "sealed":
            private_server.stop("immediate")

    with Target(private_dsn) as target, local_journal(shop.config) as journal:
        report = Cutover(shop.config, target, journal, at=at).run()
    assert (report.outcome, report.exit_code) == ("in_doubt", 3), report
    assert not sqlite_writes(shop)
    assert shop.cdc("cutover", "--yes", "--json").json["outcome"] == "in_doubt"
    assert not sqlite_writes(shop)
    private_server.start()
    done = shop.cdc("cutover", "--yes", "--json")
    assert (done.code, done.json["outcome"]) == (1, "aborted"), done
    assert sqlite_writes(shop)
