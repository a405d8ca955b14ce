"""What is left to compare once PostgreSQL is closed: not what was written while it was proven."""

from dataclasses import replace

import psycopg
import pytest

from cdc.cutover import atrest
from cdc.cutover.atrest import AtRest, SourceAtRest
from cdc.cutover.back import Rollback
from cdc.postgres import hold_back, state
from cdc.proof.following import LogGone
from tests.support.waiting import wait_until

from .conftest import run
from .shop import masters, moved_over

MANY = 1_000

FILL = (
    "INSERT INTO logs (id, line)"
    f" SELECT {{after}} + i, 'x' || i FROM generate_series(1, {MANY}) AS i"
)


@pytest.fixture
def moved(site):
    return moved_over(site)


def came_back(site) -> bool:
    return site.postgres("SELECT count(*) FROM cdc.queue") == [(0,)]


def before_settling(site, monkeypatch, statement: str) -> None:
    """Have PostgreSQL written to at the end of the comparison of every row."""
    look = AtRest.look_while_open

    def and_written(at_rest, *wait):
        few = look(at_rest, *wait)
        site.postgres(statement)
        wait_until(lambda: came_back(site))
        return few

    monkeypatch.setattr(AtRest, "look_while_open", and_written)


def test_what_came_back_during_the_proof_is_not_left_to_the_freeze(moved, monkeypatch):
    before_settling(moved, monkeypatch, FILL.format(after=100))
    moved.postgres("UPDATE orders SET price = 7.5 WHERE id = 1")
    report = run(moved, Rollback)
    assert report.outcome == "rolled_back", report
    assert report.proofs == [
        "every row was compared while PostgreSQL went on, and 0 once more after"
    ]
    assert moved.sqlite("SELECT count(*) FROM logs", name="other.db") == [(MANY + 1,)]
    assert moved.sqlite("SELECT price FROM orders WHERE id = 1") == [(7.5,)]


def test_what_is_written_later_is_compared_in_the_freeze(moved):
    def at(state: str) -> None:
        if state == "begun":
            moved.postgres("UPDATE orders SET price = 8.5 WHERE id = 1")
            moved.postgres("INSERT INTO logs (id, line) VALUES (50, 'late')")

    report = run(moved, Rollback, at=at)
    assert report.outcome == "rolled_back", report
    assert "and 2 once more" in report.proofs[0]
    assert moved.sqlite("SELECT price FROM orders WHERE id = 1") == [(8.5,)]
    assert moved.sqlite("SELECT line FROM logs WHERE id = 50", name="other.db") == [("late",)]


def test_a_settled_row_that_is_written_again_is_compared_again(moved, monkeypatch):
    """In PostgreSQL past the queue, behind a write that came back: SQLite lacks the later one."""
    settle = AtRest.settle

    def and_written(at_rest) -> None:
        moved.postgres("UPDATE orders SET price = 7.5 WHERE id = 1")
        wait_until(lambda: came_back(moved))
        settle(at_rest)
        moved.postgres("UPDATE orders SET price = 8.5 WHERE id = 1")
        wait_until(lambda: came_back(moved))
        with psycopg.connect(moved.dsn) as conn:
            conn.execute("SET LOCAL cdc.session = 'on'")
            conn.execute("UPDATE orders SET price = 99 WHERE id = 1")

    monkeypatch.setattr(AtRest, "settle", and_written)
    report = run(moved, Rollback)
    assert (report.outcome, masters(moved)) == ("aborted", (False, True)), report
    assert "shop in 1 rows (orders 1)" in report.reason


def test_a_row_that_differs_already_stays_for_the_freeze(moved):
    with psycopg.connect(moved.dsn) as conn:
        conn.execute("SET LOCAL cdc.session = 'on'")
        conn.execute("UPDATE orders SET price = 99 WHERE id = 1")
    report = run(moved, Rollback)
    assert report.outcome == "aborted"
    assert "shop in 1 rows (orders 1)" in report.reason


def test_settling_goes_on_while_much_is_left(moved, monkeypatch):
    """What others write during a long look is looked at in the next one."""
    settle, looked_at = SourceAtRest.settle, []

    def and_written(source, seconds: float) -> int:
        found = settle(source, seconds)
        looked_at.append(found)
        if found == MANY and looked_at.count(MANY) == 1:
            moved.postgres(FILL.format(after=100 + MANY))
            wait_until(lambda: came_back(moved))
        return found

    monkeypatch.setattr(SourceAtRest, "settle", and_written)
    before_settling(moved, monkeypatch, FILL.format(after=100))
    report = run(moved, Rollback)
    assert "and 0 once more" in report.proofs[0]
    assert looked_at.count(MANY) == 2


def test_events_that_were_pruned_just_now_are_asked_for_no_more(site, monkeypatch):
    """Where PostgreSQL stands is read again; if it has not moved on, the log is too short."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (2)")
    site.catch_up()
    source = site.config.source("shop")
    with site.target() as target, target.lease() as conn:
        known = state.source(conn, "shop")
        stale = iter([replace(known, applied_seq=0)])
        hold_back.give_up(conn, "shop", known.applied_seq)
        with monkeypatch.context() as patch:
            patch.setattr(atrest.state, "source", lambda *_: next(stale, known))
            at_rest = SourceAtRest(source, target, "forward")
        assert [each.seq for each in hold_back.holds(conn, "shop")] == [known.applied_seq]
        at_rest.close()
        hold_back.give_up(conn, "shop", known.applied_seq + 1)
        with pytest.raises(LogGone, match="does not reach back"):
            SourceAtRest(source, target, "forward")
