"""Nobody's events are given up while they are needed."""

import pytest

from cdc.errors import TargetUnavailable
from cdc.postgres import hold_back, state
from cdc.postgres.connection import Target, hurried


@pytest.fixture
def conn(dsn):
    with Target(dsn) as target, target.lease() as conn:
        state.install(conn)
        yield conn


def test_events_that_somebody_needs_are_not_given_up(conn):
    """Behind the lowest seq that anybody holds, all stays, until it is let go."""
    assert hold_back.keep_from(conn, "shop", "proof", 10, seconds=60)
    assert hold_back.keep_from(conn, "shop", "replay", 30, seconds=60)
    assert hold_back.give_up(conn, "shop", 100) == 10
    assert hold_back.give_up(conn, "other", 100) == 100
    hold_back.let_go(conn, "shop", "proof")
    assert hold_back.give_up(conn, "shop", 20) == 20
    assert hold_back.give_up(conn, "shop", 100) == 30
    assert hold_back.keep_from(conn, "shop", "replay", 50, seconds=60)
    assert hold_back.give_up(conn, "shop", 100) == 50


def test_events_that_are_given_up_cannot_be_held_any_more(conn):
    """Who comes too late is told so, and what was given up once stays given up."""
    assert hold_back.give_up(conn, "shop", 100) == 100
    assert not hold_back.keep_from(conn, "shop", "proof", 99, seconds=60)
    assert hold_back.keep_from(conn, "shop", "proof", 100, seconds=60)
    assert hold_back.give_up(conn, "shop", 90) == 100
    assert hold_back.give_up(conn, "shop", 120) == 100


def test_a_hold_expires(conn):
    """Who held events and died does not keep them for ever."""
    assert hold_back.keep_from(conn, "shop", "proof", 10, seconds=-1)
    assert hold_back.give_up(conn, "shop", 100) == 100


def test_nobody_begins_to_read_while_segments_go(conn, dsn):
    """Whoever asks for events waits until the block ends; whoever has asked is seen in it."""
    with hold_back.unless_replayed(conn, "shop") as free, Target(dsn) as target:
        assert free
        with (
            target.lease() as other,
            hurried(other, milliseconds=50),
            pytest.raises(TargetUnavailable, match="lock"),
        ):
            hold_back.keep_from(other, "shop", "replay 7", 10, seconds=60)
    assert hold_back.keep_from(conn, "shop", "replay 7", 10, seconds=60)
    with hold_back.unless_replayed(conn, "shop") as free:
        assert not free
    with hold_back.unless_replayed(conn, "other") as free:
        assert free
