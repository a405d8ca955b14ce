"""`kill -9` at every state of the switch, in both directions, under the eyes of a prober a side."""

import random
import subprocess
from itertools import cycle

import pytest

from tests.support.waiting import wait_until

from .shop import (
    assert_all_there,
    die,
    dying,
    masters,
    mode,
    probers,
    prove,
    replicated,
    returning,
    run_to_the_end,
    sqlite_writes,
)

FORWARD = [
    "begun", "held", "drained", "proven", "intended", "one sealed", "sealed", "switched",
    "validated", "open",
]  # fmt: skip
BACK = [
    "begun", "closed", "drained", "proven", "intended", "switched", "one given back", "given back",
    "open",
]  # fmt: skip

UNSEALED = {"begun", "held", "drained", "proven", "intended"}
SWITCHED = {"switched", "validated", "open"}
GIVEN_BACK = {"given back", "open"}


@pytest.fixture
def shop(site):
    return replicated(site)


def environment(site) -> str:
    return (site.folder / ".env").read_text()


def forward_killed(site, state: str) -> None:
    """PostgreSQL becomes master, by a command that dies at this state and those that follow it."""
    die(site, "cutover", state)
    if state in UNSEALED:
        assert masters(site) == (True, False), "before the seal nothing stays frozen"
    elif state == "sealed":
        assert masters(site) == (False, False)
    elif state in SWITCHED:
        assert masters(site) == (False, True)
    if state != "open":
        reports = run_to_the_end(site, "cutover")
        assert len(reports) == (1 if state in SWITCHED else 2), reports
    there(site)


def there(site) -> None:
    """PostgreSQL is master, and nothing is left undone."""
    assert (masters(site), mode(site)) == ((False, True), "active")
    assert environment(site) == "DB_ENGINE=postgresql\nLOCK=false\n"
    wait_until(lambda: returning(site))


def back_killed(site, state: str) -> None:
    """As `forward_killed`, in the other direction."""
    die(site, "rollback", state)
    assert masters(site)[1] == (state == "begun"), state
    if state != "one given back":
        assert sqlite_writes(site) == (state in GIVEN_BACK), state
    if state != "open":
        assert len(run_to_the_end(site, "rollback")) == 1
    back(site)


def back(site) -> None:
    """SQLite is master, and nothing is left undone."""
    assert (masters(site), mode(site)) == ((True, False), "normal")
    assert environment(site) == "DB_ENGINE=sqlite\nLOCK=false\n"
    wait_until(lambda: all(lag.state == "tailing" for lag in site.lags()))


def kill_at(site, states) -> None:
    with probers(site) as (legacy, moved):
        for forward, backward in states:
            legacy.wait()
            prove(site)
            forward_killed(site, forward)
            moved.wait()
            back_killed(site, backward)
        legacy.wait()
        assert_all_there(site, [legacy, moved])
    site.assert_equal()


def test_a_command_that_is_killed_is_undone_or_finished_by_the_next_one(shop):
    """Wherever it died, at no instant do both sides take writes, and none is lost or doubled."""
    kill_at(shop, [("one sealed", "one given back")])


@pytest.mark.soak
def test_a_command_is_killed_at_every_state(shop):
    """All states, and those between two of them."""
    kill_at(shop, zip(FORWARD, cycle(BACK)))


def daemon_killed(site, daemon, kind: str, state: str):
    """A command that goes on while the daemon dies at a state, and is started anew."""
    process = dying(site, kind, state, daemon.pid)
    assert daemon.ended(60) == -9
    anew = site.start()
    out, err = process.communicate()
    assert process.returncode == 0, err
    if not out.startswith(("switched", "rolled_back")):
        assert out.startswith("aborted"), out
        run_to_the_end(site, kind)
    return anew


def kill_daemon_at(site, states) -> None:
    daemon = site.cdc.last_daemon
    with probers(site) as (legacy, moved):
        for forward, backward in states:
            legacy.wait()
            prove(site)
            daemon = daemon_killed(site, daemon, "cutover", forward)
            there(site)
            moved.wait()
            daemon = daemon_killed(site, daemon, "rollback", backward)
            back(site)
        assert_all_there(site, [legacy, moved])
    site.assert_equal()


@pytest.mark.soak
def test_the_daemon_may_die_in_the_middle_of_a_switch(shop):
    """Another one goes on, in whichever direction the files name; the command waits or gives up."""
    kill_daemon_at(shop, [("held", "closed")])


@pytest.mark.soak
def test_the_daemon_is_killed_at_every_state(shop):
    """As the command is."""
    kill_daemon_at(shop, zip(FORWARD, cycle(BACK)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment(seed, shop):
    """The command, and now and then the daemon with it, between any two of their instructions."""
    rng, daemon = random.Random(seed), shop.cdc.last_daemon
    with probers(shop) as (legacy, moved):
        for kind, active in (("cutover", legacy), ("rollback", moved)) * 3:
            active.wait()
            if kind == "cutover":
                prove(shop)
            for _ in range(2):
                process = dying(shop, kind, "none")
                try:
                    process.communicate(timeout=rng.uniform(1.0, 5.0))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    if rng.random() < 0.3:
                        daemon.kill()
                        daemon = shop.start()
            ended = "active" if kind == "cutover" else "normal"
            wait_until(lambda: {lag.state for lag in shop.lags()} <= {"tailing", "returning"})
            if mode(shop) != ended or shop.postgres(UNFINISHED) != [(0,)]:
                run_to_the_end(shop, kind)
            there(shop) if kind == "cutover" else back(shop)
        assert_all_there(shop, [legacy, moved])
    shop.assert_equal()


UNFINISHED = "SELECT count(*) FROM cdc.switch WHERE state IN ('begun', 'switched')"
