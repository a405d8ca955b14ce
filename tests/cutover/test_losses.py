"""PostgreSQL lost around the switch, in both directions: by then undone, or gone on with."""

import pytest

from cdc.cutover import phases, recovery
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.phases import Report
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import wait_until

from .conftest import run, succeed
from .shop import masters, mode, replicated, returning


@pytest.fixture
def shop(site):
    return replicated(site)


def run_through(site, kind, state: str, lose, **options) -> Report:
    """A run whose own way to PostgreSQL is lost at a state; the daemon has another one."""
    proxy = Proxy(site.dsn)

    def at(now: str) -> None:
        if now == state:
            if lose in (Proxy.close, Proxy.stall):  # no answer will come, however long it is asked
                patch.setattr(recovery, "PATIENCE_SECONDS", 2.0)
            lose(proxy)

    with pytest.MonkeyPatch.context() as patch:
        try:
            return run(site, kind, dsn=proxy.dsn, at=at, **options)
        finally:
            proxy.close()


def before_commit(proxy: Proxy) -> None:
    proxy.arm(Cut.BEFORE)


def behind_commit(proxy: Proxy) -> None:
    proxy.arm(Cut.ANSWER)


def test_lost_on_the_way_there(shop):
    """Before the seal SQLite goes on, and a COMMIT that was lost is asked after."""
    report = run_through(shop, Cutover, "held", Proxy.close)
    assert (report.outcome, report.exit_code) == ("aborted", 1), report
    assert any("the journal in PostgreSQL" in words for words in report.trouble), report
    assert masters(shop) == (True, False)
    assert run(shop, Cutover).outcome == "aborted"  # what the first one could not record
    report = run_through(shop, Cutover, "sealed", before_commit)
    assert (report.outcome, report.exit_code) == ("aborted", 1), report
    assert "could not switch to PostgreSQL" in report.reason
    assert masters(shop) == (True, False)
    report = run_through(shop, Cutover, "sealed", behind_commit)
    assert (report.outcome, report.trouble) == ("switched", []), report
    assert masters(shop) == (False, True)


@pytest.mark.soak
def test_lost_behind_the_switch(shop):
    """What follows is done all the same, what could not be is named, and the next run ends it."""
    report = run_through(shop, Cutover, "switched", Proxy.close)
    assert (report.outcome, report.exit_code) == ("switched", 1), report
    assert "run cdc cutover again" in report.trouble[-1]
    assert (shop.folder / ".env").read_text() == "DB_ENGINE=postgresql\nLOCK=false\n"
    assert masters(shop) == (False, True)
    report = run(shop, Cutover)
    assert (report.outcome, report.trouble) == ("switched", []), report


@pytest.mark.soak
def test_a_server_that_hangs_in_the_switch_is_not_waited_for(shop, monkeypatch):
    """Its connections stay open, and no timeout of TCP would notice: the budget of the phase does.
    Once it answers again, the next run tells what became of the switch.
    """
    monkeypatch.setitem(phases.FAST, "switch", 1.0)
    monkeypatch.setattr(phases, "GRACE_SECONDS", 0.0)
    report = run_through(shop, Cutover, "sealed", Proxy.stall, connect_timeout_seconds=2)
    assert (report.outcome, report.exit_code) == ("in_doubt", 3), report
    assert masters(shop) == (False, False)
    assert run(shop, Cutover).outcome == "aborted"
    assert masters(shop) == (True, False)


def test_lost_on_the_way_back(shop):
    """Before the switch PostgreSQL goes on, as soon as it can be asked, as after a lost COMMIT."""
    succeed(shop, Cutover)
    wait_until(lambda: returning(shop))
    shop.postgres("INSERT INTO orders (item) VALUES ('there')")
    report = run_through(shop, Rollback, "closed", Proxy.close)
    assert (report.outcome, report.exit_code) == ("in_doubt", 3), report
    assert masters(shop) == (False, False)
    report = run_through(shop, Rollback, "intended", before_commit)
    assert (report.outcome, report.exit_code) == ("aborted", 1), report
    assert masters(shop) == (False, True)
    report = run_through(shop, Rollback, "intended", behind_commit)
    assert (report.outcome, report.trouble) == ("rolled_back", []), report
    assert masters(shop) == (True, False)
    assert shop.sqlite("SELECT count(*) FROM orders WHERE item = 'there'") == [(1,)]


@pytest.mark.soak
def test_lost_behind_the_switch_back(shop):
    """The files stay shut until PostgreSQL can say what numbers it has given to rows."""
    succeed(shop, Cutover)
    wait_until(lambda: returning(shop))
    report = run_through(shop, Rollback, "switched", Proxy.close)
    assert (report.outcome, report.exit_code) == ("in_doubt", 3), report
    assert masters(shop) == (False, False)
    report = run(shop, Rollback)
    assert (report.outcome, report.trouble) == ("rolled_back", []), report
    assert (masters(shop), mode(shop)) == ((True, False), "normal")
