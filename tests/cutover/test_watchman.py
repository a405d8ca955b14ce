"""The daemon ends what a dead command had begun, and goes back when the health fails, if it may."""

from datetime import UTC, datetime, timedelta

import pytest

from cdc.config import CutoverConfig
from cdc.cutover.forward import Cutover
from cdc.cutover.health import Health
from cdc.cutover.records import records_of
from cdc.cutover.vigil import Vigil
from cdc.cutover.watchman import Watchman
from cdc.cutover.wellbeing import Finding
from cdc.postgres.connection import Target
from cdc.postgres.switches import Switch
from cdc.stop import Stop
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

from .conftest import run, succeed
from .shop import MORE, die, masters, mode, moved_over, replicated, returning

SOON = MORE.replace("takeover_seconds = 0\n", "takeover_seconds = 0.1\n")

CAREFUL = """
[health]
look_seconds = 0.2

[[hooks]]
on = "health"
command = ["sh", "-c", "test ! -e unwell || { echo trades do not open; exit 1; }"]

[[hooks]]
on = "start"
command = ["touch", "started"]
"""
AUTOMATIC = MORE.replace(
    "[cutover]\n", "[cutover]\nautomatic_rollback = true\nrollback_after = 2\n"
)


def environment(site) -> str:
    return (site.folder / ".env").read_text()


def test_the_daemon_undoes_or_ends_what_a_dead_command_had_begun(site):
    """In both directions, before the switch and behind it, with nobody there."""
    shop = replicated(site, SOON)
    daemon = shop.cdc.last_daemon
    # That it has taken over is the last that it does before the next command may have the journal.
    die(shop, "cutover", "sealed")
    daemon.wait_for("taken_over", times=1)
    assert masters(shop) == (True, False)
    assert not (shop.folder / ".cdc" / "cutover.json").exists()
    die(shop, "cutover", "switched")
    daemon.wait_for("taken_over", times=2)
    assert environment(shop) == "DB_ENGINE=postgresql\nLOCK=false\n"
    wait_until(lambda: returning(shop))
    die(shop, "rollback", "closed")
    daemon.wait_for("taken_over", times=3)
    assert masters(shop) == (False, True)
    wait_until(lambda: returning(shop))
    die(shop, "rollback", "switched")
    daemon.wait_for("taken_over", times=4)
    assert masters(shop) == (True, False)
    assert environment(shop) == "DB_ENGINE=sqlite\nLOCK=false\n"


def test_a_command_that_is_alive_is_left_alone(site):
    """However long it takes: the daemon has no right to a run whose process holds the journal."""
    shop = replicated(site, SOON)

    def at(state: str) -> None:
        if state == "sealed":
            with shop.target() as target:
                watchman = Watchman(shop.config, target, Stop())
                for _ in range(3):
                    assert watchman.end_what_died() is None

    succeed(shop, Cutover, at=at)


def test_the_daemon_goes_back_when_the_health_fails_again_and_again(site):
    """Nothing that was written to PostgreSQL is lost, and the report says why."""
    shop = replicated(site, AUTOMATIC + CAREFUL)
    daemon = shop.cdc.last_daemon
    succeed(shop, Cutover)
    (shop.folder / "started").unlink()
    shop.postgres("INSERT INTO orders (item) VALUES ('late')")
    assert shop.cdc("health").code == 0
    (shop.folder / "unwell").touch()
    assert shop.cdc("health").code == 1
    wait_until(lambda: mode(shop) == "normal", 60, what=lambda: daemon.text)
    wait_until((shop.folder / "started").exists)
    assert masters(shop) == (True, False)
    assert shop.sqlite("SELECT count(*) FROM orders WHERE item = 'late'") == [(1,)]
    assert environment(shop) == "DB_ENGINE=sqlite\nLOCK=false\n"
    wait_until(lambda: records_of(shop.config).last().outcome == "rolled_back")
    report = records_of(shop.config).last()
    assert "trades do not open" in report.cause


def test_an_attempt_that_stopped_the_services_and_failed_is_not_repeated(site):
    """They are started again, and the rest is the operator's."""
    more = AUTOMATIC + CAREFUL + '[[hooks]]\non = "stop"\ncommand = ["test", "!", "-e", "unwell"]\n'
    shop = moved_over(site, more.replace("look_seconds = 0.2", "look_seconds = 3600"))
    (shop.folder / "started").unlink()
    (shop.folder / "unwell").touch()
    with shop.target() as target:
        watchman = Watchman(shop.config, target, Stop())
        reports = []
        for _ in range(4):
            watchman._next_look = 0.0
            reports.append(watchman.watch())
    assert [report and report.outcome for report in reports] == [None, "aborted", None, None]
    assert (shop.folder / "started").exists()
    assert masters(shop) == (False, True)


def test_going_back_waits_for_a_server_that_is_away(site):
    """It is not begun without one, and waits for no other FAIL once it is decided; nor is it begun
    by a daemon that is about to end.
    """
    shop = replicated(site, AUTOMATIC + "[health]\nlook_seconds = 3600\n")
    switch = run(shop, Cutover)
    assert switch.outcome == "switched"
    wait_until(lambda: returning(shop))
    proxy = Proxy(shop.dsn)
    proxy.close()
    reports = []
    with shop.target() as target, Target(proxy.dsn) as gone:
        stop = Stop()
        stop.ask()
        ending = Watchman(shop.config, target, stop)
        ending._vigil.run, ending._vigil.decided = switch.run, "it is not well"
        given_up = ending.watch()
        assert (given_up.outcome, masters(shop)) == ("aborted", (False, True)), given_up
        assert "asked to stop" in given_up.reason
        wait_until(lambda: returning(shop))
        watchman = Watchman(shop.config, target, Stop())
        for at in (target, gone, gone, target):
            watchman._target, watchman._next_look = at, 0.0
            reports.append(watchman.watch())
    assert [report and report.outcome for report in reports] == [None, None, None, "rolled_back"]
    assert masters(shop) == (True, False)


WELL = Health(datetime.now(UTC), (Finding("target", "pass", ""),), None)
UNWELL = Health(datetime.now(UTC), (Finding("target", "fail", "gone"),), None)


def switched(ended: datetime | None, run: str = "r1") -> Switch:
    now = datetime.now(UTC)
    return Switch(run, "forward", "open", 1, "", None, now, now, ended)


@pytest.mark.parametrize(
    ("looks", "minutes_ago", "goes_back"),
    [
        ([UNWELL, UNWELL], 0, False),
        ([UNWELL, UNWELL, WELL, UNWELL], 0, False),
        ([UNWELL, UNWELL, UNWELL], 0, True),
        ([UNWELL, UNWELL, UNWELL, WELL], 0, True),
        ([UNWELL, UNWELL, UNWELL], 60, False),
        ([UNWELL, UNWELL, UNWELL], None, True),
    ],
)
def test_so_many_failures_in_a_row_within_the_time_are_a_decision(looks, minutes_ago, goes_back):
    """That stands; and without the operator's word nothing is done about it."""
    ended = None
    if minutes_ago is not None:
        ended = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    for allowed in (True, False):
        vigil = Vigil(CutoverConfig(automatic_rollback=allowed))
        for look in looks:
            vigil.hear(look, switched(ended))
        assert vigil.goes_back == (goes_back and allowed)
    vigil.hear(WELL, switched(ended, "r2"))
    assert not vigil.goes_back


@pytest.mark.soak
def test_a_daemon_that_dies_in_its_own_rollback_leaves_it_to_the_next(site):
    """The decision is made again, by the health that still fails; nothing is lost or half open."""
    kill = "test -e killed || { touch killed; kill -9 $PPID; }"
    more = AUTOMATIC + CAREFUL + f'[[hooks]]\non = "stop"\ncommand = ["sh", "-c", "{kill}"]\n'
    (site.folder / "killed").touch()  # not by the cutover
    shop = moved_over(site, more)
    (shop.folder / "killed").unlink()
    (shop.folder / "unwell").touch()
    assert shop.cdc.last_daemon.ended(60) == -9
    assert masters(shop) == (False, True)
    shop.postgres("INSERT INTO orders (item) VALUES ('late')")
    daemon = shop.start()
    wait_until(lambda: mode(shop) == "normal", 60, what=lambda: daemon.text)
    wait_until(lambda: masters(shop) == (True, False))
    assert shop.sqlite("SELECT count(*) FROM orders WHERE item = 'late'") == [(1,)]


def test_the_watch_goes_on_whatever_it_meets(site, monkeypatch, caplog):
    """What nobody has foreseen is told in the log; the next look is taken all the same."""
    monkeypatch.setattr("cdc.cutover.watchman.TICK_SECONDS", 0.01)
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    site.configure()
    looks, stop = [], Stop()

    def look(self):
        looks.append("look")
        if len(looks) == 2:
            stop.ask()
        raise RuntimeError("a defect")

    monkeypatch.setattr(Watchman, "end_what_died", look)
    monkeypatch.setattr(Watchman, "watch", lambda self: None)
    with site.target() as target:
        Watchman(site.config, target, stop).run()
    assert looks == ["look", "look"]
    assert caplog.text.count("The watch over the cutover failed; it goes on.") == 2
