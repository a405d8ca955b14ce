"""A connection is lost at the worst moment: a COMMIT whose answer was lost is never guessed at."""

import random
import signal

import pytest

from tests.support.held_copy import held_copy
from tests.support.proxy import Cut


def wait_until_it_goes_on(site, daemon):
    """Wait for more events in the target; a loss that met no statement is not even logged."""
    before = site.lags()[0].applied_seq
    daemon.wait_until(lambda: site.lags()[0].applied_seq > before)


def cut_again_and_again(site, proxy, cuts):
    storm = site.storm("--journal", "WAL")
    daemon = site.daemon()
    for turn, cut in enumerate(cuts, start=1):
        proxy.arm(cut)
        daemon.wait_until(lambda turn=turn: proxy.cuts == turn)
        wait_until_it_goes_on(site, daemon)
    report = storm.stop()
    site.wait_until_equal(daemon=daemon)
    site.assert_exactly_once()
    assert (report.errors, report.locked) == ([], 0)
    assert site.postgres("SELECT count(*) FROM journal") == [(report.commits,)]
    assert daemon.stop() == 0


@pytest.mark.parametrize("cut", Cut)
def test_connection_cut_at_a_commit(audited, proxy, cut):
    """Committed or not: what was sent counts only when the position in the target says so."""
    cut_again_and_again(audited, proxy, [cut] * 4)


@pytest.mark.soak
def test_connection_cut_at_two_hundred_commits(audited, proxy):
    """The same at random."""
    cut_again_and_again(audited, proxy, random.Random(3).choices(list(Cut), k=200))


def test_connection_cut_during_the_copy(audited, proxy):
    """A chunk and the progress of the copy commit together as well."""
    audited.configure(dsn=proxy.dsn, lock_bound_ms=1)
    storm = audited.storm("--journal", "WAL")
    with held_copy(audited) as daemon:
        proxy.arm(Cut.ANSWER)
    for turn, cut in enumerate([Cut.BEFORE, Cut.RACE, Cut.ANSWER], start=1):
        daemon.wait_until(lambda turn=turn: proxy.cuts == turn)
        proxy.arm(cut)
    daemon.wait_until(lambda: proxy.cuts == 4)
    daemon.wait_for("tailing")
    actions = [line["action"] for line in daemon.lines]
    assert actions.index("waiting") < actions.index("tailing")
    storm.stop()
    audited.wait_until_equal(daemon=daemon)
    audited.assert_exactly_once()


def test_connections_lost_at_any_moment(audited, proxy):
    """Wherever the daemon stands when all its connections go, it goes on from there."""
    storm = audited.storm("--journal", "WAL")
    daemon = audited.daemon()
    for _ in range(5):
        wait_until_it_goes_on(audited, daemon)
        proxy.cut_all()
        wait_until_it_goes_on(audited, daemon)
    storm.stop()
    audited.wait_until_equal(daemon=daemon)
    audited.assert_exactly_once()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_postgresql_is_away(audited, proxy, number):
    """Whoever wants to stop does not wait for PostgreSQL."""
    daemon = audited.daemon()
    proxy.close()
    audited.sqlite("UPDATE accounts SET version = 1 WHERE id = 1")
    daemon.wait_for("waiting")
    assert daemon.stop(number, seconds=15) == 0


def test_stop_while_postgresql_does_not_answer(audited, proxy):
    """A server that hangs, with its connections open, holds up no stop."""
    daemon = audited.daemon()
    proxy.stall()
    audited.sqlite("UPDATE accounts SET version = 1 WHERE id = 1")
    assert daemon.stop(seconds=20) == 0
