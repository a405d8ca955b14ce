"""What goes wrong around the switch: before it the master goes on, and the cause is named."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import apsw
import psycopg
import pytest

from cdc.cutover import back
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import IntentUnreadable, LocalJournal
from cdc.proof import suspects
from tests.support.processes import is_gone
from tests.support.waiting import wait_until

from .conftest import run, succeed
from .shop import MORE, masters, moved_over, prove, replicated, returning

PRICE = "SELECT price FROM orders WHERE id = 1"

HOOKS = "".join(
    f'\n[[hooks]]\non = "{on}"\ncommand = ["sh", "-c", "echo {on} >> ran; test ! -e no-{on}"]\n'
    for on in ("stop", "start")
)


def plant_in_sqlite(site, price: float) -> None:
    """Past the capture and the freeze, as only a connection without triggers can."""
    with site.connection() as db:
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        db.execute("UPDATE orders SET price = ? WHERE id = 1", (price,))


def plant_in_postgres(site, price: float) -> None:
    """Past the guard and the queue, as only a session can that says it is cdc's."""
    with psycopg.connect(site.dsn) as conn:
        conn.execute("SET LOCAL cdc.session = 'on'")
        conn.execute("UPDATE orders SET price = %s WHERE id = 1", (price,))


PLANTS = (plant_in_sqlite, plant_in_postgres)


@pytest.mark.soak
def test_a_wrong_row_on_either_side_stops_the_cutover(site):
    """Before the last full proof, or after it in a row that has changed since."""
    shop = replicated(site)
    for plant in PLANTS:
        plant(shop, 99.0)
        assert not shop.prove(full=True).converged
        report = run(shop, Cutover)
        assert (report.outcome, "proof" in report.reason) == ("aborted", True), report
        shop.sqlite("UPDATE orders SET price = 1.5 WHERE id = 1")
        wait_until(shop.caught_up)
        prove(shop)
        planted = []

        def tell(words: str) -> None:
            if words.startswith("proving"):
                shop.sqlite("UPDATE orders SET price = 1.25 WHERE id = 1")
                wait_until(shop.caught_up)

        def at(state: str, plant=plant, planted=planted) -> None:
            if state == "begun" and not planted:
                planted.append(plant(shop, 98.0))

        report = run(shop, Cutover, tell=tell, at=at)
        assert report.outcome == "aborted", report
        assert "shop in 1 rows (orders 1)" in report.reason
        shop.sqlite("UPDATE orders SET price = 1.5 WHERE id = 1")
        wait_until(shop.caught_up)
        prove(shop)
    assert masters(shop) == (True, False)
    succeed(shop, Cutover)


def test_a_wrong_row_on_either_side_stops_the_rollback(site):
    """It is named, PostgreSQL goes on, and it comes back once it is written there again."""
    shop = moved_over(site)
    for plant in PLANTS:
        wait_until(lambda: returning(shop))
        plant(shop, 99.0)
        report = run(shop, Rollback)
        assert report.outcome == "aborted", report
        assert "shop in 1 rows (orders 1)" in report.reason
        assert masters(shop) == (False, True)
        shop.postgres("UPDATE orders SET id = id WHERE id = 1")
        wait_until(lambda: shop.sqlite(PRICE) == shop.postgres(PRICE))
    wait_until(lambda: returning(shop))
    succeed(shop, Rollback)
    assert shop.sqlite(PRICE) == [(99.0,)]
    shop.wait_until_equal()


@pytest.mark.soak
def test_with_too_much_to_look_at_again_every_row_is_compared_once_more(site, monkeypatch):
    """When PostgreSQL is closed: it takes longer then, and finds the same."""
    shop = replicated(site)
    monkeypatch.setattr(suspects, "MOST_SUSPECTS", -1)
    succeed(shop, Cutover)
    wait_until(lambda: returning(shop))
    plant_in_sqlite(shop, 99.0)
    report = run(shop, Rollback)
    assert (report.outcome, "both sides differ: shop" in report.reason) == ("aborted", True), report
    shop.postgres("UPDATE orders SET id = id WHERE id = 1")
    wait_until(lambda: returning(shop))
    succeed(shop, Rollback)
    assert masters(shop) == (True, False)


@pytest.mark.soak
def test_queue_triggers_that_somebody_has_disabled_stop_the_rollback(site):
    """What was written without them has not come back, and they are looked at when all is shut."""
    shop = moved_over(site)

    def at(state: str) -> None:
        if state == "begun":
            shop.postgres("ALTER TABLE orders DISABLE TRIGGER ALL")
            shop.postgres("UPDATE orders SET price = 5 WHERE id = 1")

    report = run(shop, Rollback, at=at)
    assert report.outcome == "aborted", report
    assert "the queue's triggers" in report.reason
    shop.postgres("ALTER TABLE orders ENABLE ALWAYS TRIGGER _cdc_guard")
    assert masters(shop) == (False, True)


def test_a_run_that_the_operator_stops_is_undone(site):
    """Ctrl-C before the switch leaves both sides as they were."""
    shop = replicated(site)

    def stop_at(wanted: str):
        def at(state: str) -> None:
            if state == wanted:
                raise KeyboardInterrupt

        return at

    for state in ("drained", "sealed"):
        report = run(shop, Cutover, at=stop_at(state))
        assert (report.outcome, report.reason) == ("aborted", "stopped by the operator"), report
        assert masters(shop) == (True, False)
    succeed(shop, Cutover)
    report = run(shop, Rollback, at=stop_at("closed"))
    assert (report.outcome, report.reason) == ("aborted", "stopped by the operator"), report
    assert masters(shop) == (False, True)


SLOW = """
[[hooks]]
on = "stop"
command = ["sh", "-c", "echo $$ > pid; exec sleep 60"]

[[hooks]]
on = "start"
command = ["sh", "-c", "echo begun >> ran; sleep 1; echo ended >> ran"]
"""


def test_a_signal_ends_a_cutover_as_ctrl_c_does(site):
    """The hook that runs then is killed before all goes back, of which a second signal keeps
    nobody, nor the end of whatever shows the words.
    """
    shop = replicated(site, more=MORE + SLOW)
    pid, ran = shop.folder / "pid", shop.folder / "ran"
    command = shop.cdc.begin("cutover", "--yes", "--json")
    wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    command.stderr.close()
    command.send_signal(signal.SIGTERM)
    wait_until(ran.exists)
    wait_until(lambda: is_gone(int(pid.read_text())))  # a process dies when it gets a turn
    command.send_signal(signal.SIGTERM)
    with command.stdout:
        report = json.loads(command.stdout.read())
    assert (command.wait(60), report["outcome"]) == (1, "aborted")
    assert report["reason"] == "stopped by the operator"
    assert ran.read_text() == "begun\nended\n"
    assert masters(shop) == (True, False)


def test_a_journal_that_cannot_be_cleared_does_not_keep_the_services_waiting(site, monkeypatch):
    """The switch is made: what is left on record is told of, and the next run clears it."""
    started = '[[hooks]]\non = "start"\ncommand = ["sh", "-c", "echo started >> ran"]\n'
    shop = replicated(site, more=MORE + started)

    def refuse(self):
        raise IntentUnreadable("cutover.json cannot be removed: the disk is read-only")

    for kind, outcome in ((Cutover, "switched"), (Rollback, "rolled_back")):
        with monkeypatch.context() as patched:
            patched.setattr(LocalJournal, "clear", refuse)
            report = run(shop, kind)
        assert (report.outcome, report.exit_code) == (outcome, 1), report
        assert "cannot be removed" in "; ".join(report.trouble)
        assert run(shop, kind).outcome == "aborted"  # it is the master already
        assert not (shop.folder / ".cdc" / "cutover.json").exists()
    assert (shop.folder / "ran").read_text() == "started\n" * 2


class Killed(BaseException):
    """As by kill -9."""


def test_an_interrupt_behind_the_switch_is_told_as_that(site):
    """Nothing is undone then, whether it is the run that has switched or one that ends it."""
    shop = replicated(site)

    def at(state: str, error: type[BaseException]):
        def reach(reached: str) -> None:
            if reached == state:
                raise error

        return reach

    for kind, outcome, given_back, end in (
        (Cutover, "switched", "validated", (False, True)),
        (Rollback, "rolled_back", "given back", (True, False)),
    ):
        with pytest.raises(Killed):
            run(shop, kind, at=at("switched", Killed))
        for error in (KeyboardInterrupt, KeyboardInterrupt):
            report = run(shop, kind, at=at(given_back, error))
            assert (report.outcome, report.exit_code) == (outcome, 1), report
            assert "stopped by the operator before its end" in report.reason
        report = run(shop, kind)
        assert (report.outcome, report.exit_code) == (outcome, 0), report
        assert masters(shop) == end
        if kind is Cutover:
            wait_until(lambda: returning(shop))


def test_an_interrupt_before_the_files_are_open_leaves_no_doubt_that_they_are_not(
    site, monkeypatch
):
    shop = moved_over(site)
    with monkeypatch.context() as patch:
        patch.setattr(back.files, "give_back", interrupt)
        report = run(shop, Rollback)
    assert (report.outcome, report.exit_code) == ("in_doubt", 3)
    assert "not every file is open" in report.reason
    assert masters(shop) == (False, False)
    succeed(shop, Rollback)
    assert masters(shop) == (True, False)


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.soak
def test_a_hook_that_fails(site):
    """A stop hook ends the run, and the services are started again; a start hook is only named."""
    shop = replicated(site, more=MORE + HOOKS)
    ran, no_stop, no_start = (shop.folder / name for name in ("ran", "no-stop", "no-start"))
    for kind, done, kept in ((Cutover, "switched", True), (Rollback, "rolled_back", False)):
        no_stop.touch()
        report = run(shop, kind)
        assert (report.outcome, report.exit_code) == ("aborted", 1), report
        assert "the stop hook sh -c" in report.reason
        assert ran.read_text() == "stop\nstart\n"
        assert masters(shop) == (kept, not kept)
        no_stop.unlink()
        no_start.touch()
        report = run(shop, kind)
        assert (report.outcome, report.exit_code) == (done, 1), report
        assert "the start hook sh -c" in report.trouble[0]
        assert masters(shop) == (not kept, kept)
        no_start.unlink()
        ran.unlink()
        if kind is Cutover:
            wait_until(lambda: returning(shop))


@contextmanager
def small_disk(place, kilobytes: int):
    """A file system with so much room, and what fills it to its last byte."""
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk that is full takes the right to mount one")
    filler = place / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as out:
            for size in (4096, 1):
                try:
                    while out.write(b"x" * size):
                        pass
                except OSError:
                    continue

    try:
        yield fill, filler.unlink
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(
    ("full", "state"),
    [("files", "held"), pytest.param(".cdc", "proven", marks=pytest.mark.soak)],
)
def test_a_full_disk_stops_the_cutover(full, state, site):
    """That of the files, or that of the local journal; nothing stays frozen on it."""
    (site.folder / "files").mkdir()
    with small_disk(site.folder / full, 1024) as (fill, empty):
        names = ("files/shop.db", "files/other.db")
        shop = replicated(site, names=names, min_free_disk_mb=0)

        def at(now: str) -> None:
            if now == state:
                fill()

        report = run(shop, Cutover, at=at)
        assert (report.outcome, report.exit_code) == ("aborted", 1), report
        assert "full" in report.reason or os.strerror(28) in report.reason, report
        empty()
        assert masters(shop) == (True, False)
        shop.sqlite("UPDATE orders SET price = 3 WHERE id = 1", name=names[0])
        wait_until(shop.caught_up)
        succeed(shop, Cutover)
        shop.cdc.close()
