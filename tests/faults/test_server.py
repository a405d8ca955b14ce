"""PostgreSQL goes away: the legacy system notices nothing, and the daemon waits and catches up."""

import time

import psycopg
import pytest

from tests.support.waiting import wait_until


def newest(site):
    return site.sqlite("SELECT coalesce(max(n), 0) FROM journal")[0][0]


def stop_under_load(site, server, mode, commits, seconds=0.0):
    """Stop the server for at least so many commits and so long."""
    daemon = site.daemon()
    storm = site.storm("--journal", "WAL", "--keys", "3000")
    daemon.wait_until(lambda: newest(site) > 100)
    server.stop(mode)
    daemon.wait_for("waiting", source="shop")
    assert "Trying again" in daemon.said("waiting")[0]["message"]
    # The legacy system works on meanwhile.
    stopped, until = newest(site), time.monotonic() + seconds
    wait_until(lambda: newest(site) > stopped + commits and time.monotonic() > until, seconds + 60)
    status = site.cdc("status")
    assert status.code == 3
    assert "is the server running" in status.err
    assert daemon.said("recovered") == []
    server.start()
    daemon.wait_for("recovered", source="shop", seconds=60)
    report = storm.stop()
    site.wait_until_equal(daemon=daemon)
    site.assert_exactly_once()
    assert (report.errors, report.locked) == ([], 0)
    assert site.postgres("SELECT count(*) FROM journal") == [(report.commits,)]
    assert site.cdc("lag").code == 0
    assert daemon.stop() == 0


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_that_stops_for_a_while(private, private_server, mode):
    """However it ends, by order or by a crash: exactly once, and no hand is needed."""
    stop_under_load(private, private_server, mode, commits=300)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_that_is_away_for_a_minute(private, private_server, mode):
    """The same for a minute."""
    stop_under_load(private, private_server, mode, commits=300, seconds=60)


def copied(site):
    """How many rows were copied so far."""
    known = site.postgres("SELECT to_regclass('cdc.captured_table') IS NOT NULL")[0][0]
    return sum(site.copied_rows().values()) if known else 0


def test_server_that_crashes_again_and_again(private, private_server):
    """During the copy too; a crash takes rows and position back together."""
    private.configure(lock_bound_ms=1)
    storm = private.storm("--journal", "WAL")
    daemon = private.start()
    for crash in range(1, 5):
        before = copied(private)
        daemon.wait_until(lambda before=before: copied(private) > before or daemon.said("tailing"))
        waited = len(daemon.said("waiting"))
        private_server.stop("immediate")
        daemon.wait_for("waiting", times=waited + 1)
        private_server.start()
        daemon.wait_for("recovered", times=crash, seconds=60)
    storm.stop()
    private.wait_until_equal(60, daemon)
    private.assert_exactly_once()


def test_server_that_is_away_at_the_start_is_told_at_once(private, private_server):
    """What is wrong at the start is said there and then; nothing is written to the file."""
    private_server.stop("fast")
    before = private.sqlite("SELECT name, sql FROM sqlite_schema")
    outcome = private.cdc("run")
    assert outcome.code == 3
    assert "is the server running" in outcome.err
    assert private.sqlite("SELECT name, sql FROM sqlite_schema") == before


def test_database_that_is_gone_halts_with_a_message(private, private_server):
    """A cause that waiting cannot mend ends the replication, in words."""
    daemon = private.daemon()
    with psycopg.connect(private_server.dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE private WITH (FORCE)")
    private.sqlite("UPDATE accounts SET version = 1 WHERE id = 1")
    daemon.wait_for("halted")
    assert "create the database" in daemon.said("halted")[0]["message"]
    assert daemon.ended() == 3
