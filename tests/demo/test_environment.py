"""What the environment file says is what the services do."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from cdc.cutover import envfile
from cdc.demo import environment, files
from cdc.demo.environment import Environment
from cdc.demo.fleet import Fleet, ServiceFailed
from cdc.demo.services.presence import present
from tests.support.waiting import wait_until


def reload(directory):
    return subprocess.run(
        [sys.executable, "-m", "cdc.demo.reload", str(directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def execute(directory, file, statement):
    with closing(sqlite3.connect(directory / file)) as connection:
        rows = connection.execute(statement).fetchall()
        connection.commit()
    return rows


def test_without_a_file_all_is_as_it_always_was(tmp_path):
    assert Environment.read(tmp_path) == Environment("sqlite", trading_locked=False)


def test_what_the_cutover_sets_is_read_and_the_rest_stays(tmp_path):
    url = "host='/tmp/a dir' user=rec_writer # no comment"
    environment.write(tmp_path, url)
    assert Environment.read(tmp_path).database_url == url
    values = {"DB_ENGINE": "postgresql", "LOCK_TRADING": "true", "MIGRATION_MODE": "active"}
    envfile.change(tmp_path / environment.FILE, values)
    assert Environment.read(tmp_path) == Environment("postgresql", True, "active", url)


def test_an_engine_that_there_is_not_is_no_reason_to_guess(tmp_path):
    (tmp_path / environment.FILE).write_text("DB_ENGINE=oracle\n")
    with pytest.raises(ValueError, match="oracle"):
        Environment.read(tmp_path)


def test_no_order_is_placed_while_trading_is_locked(legacy):
    environment.write(legacy, "")
    envfile.change(legacy / environment.FILE, {"LOCK_TRADING": "true"})
    newest = "SELECT max(id) FROM trades"
    before = execute(legacy, files.TRADES, newest)
    # Below the number of open trades at which it would place none anyway.
    execute(legacy, files.TRADES, "DELETE FROM trades WHERE status = 'open'")
    with Fleet.start(legacy, services=("trade_manager",), pace=50):
        wait_until(lambda: list(present(legacy)))
        purged = "INSERT INTO trades (date, time, strike, side, buy_price, position, status)"
        execute(legacy, files.TRADES, f"{purged} VALUES ('', '', '', '', 1, 1, 'error')")
        wait_until(
            lambda: not execute(legacy, files.TRADES, "SELECT 1 FROM trades WHERE status = 'error'")
        )
        assert execute(legacy, files.TRADES, newest) <= before
        envfile.change(legacy / environment.FILE, {"LOCK_TRADING": "false"})
        wait_until(lambda: execute(legacy, files.TRADES, newest) > before)


def test_a_reload_has_each_service_look_for_what_it_has_written(legacy):
    """A row that was taken away meanwhile is missed."""
    started = execute(legacy, files.PRICE_HISTORY, "SELECT max(timestamp) FROM price_log")[0][0]
    fleet = Fleet.start(legacy, services=("price_watcher",), pace=20)
    fresh = f"price_log WHERE timestamp > '{started}'"
    wait_until(lambda: execute(legacy, files.PRICE_HISTORY, f"SELECT 1 FROM {fresh}"))
    (before,) = present(legacy)
    done = reload(legacy)
    assert (done.returncode, done.stdout) == (0, "price_watcher works on sqlite\n"), done.stderr
    (after,) = present(legacy)
    assert (after.pid, after.beginnings) == (before.pid, before.beginnings + 1)
    # A second that is over is not written again.
    seconds = f"SELECT count(*) FROM {fresh}"
    wait_until(lambda: execute(legacy, files.PRICE_HISTORY, seconds)[0][0] > 1)
    lost = f"(SELECT min(timestamp) FROM {fresh})"
    execute(legacy, files.PRICE_HISTORY, f"DELETE FROM price_log WHERE timestamp = {lost}")
    (report,) = fleet.stop()
    assert (report.lost, report.doubled) == (1, 0)
    assert report.checked > 1
    assert list(present(legacy)) == []


def test_a_service_that_was_killed_is_asked_nothing(legacy):
    """Its number may be somebody else's by now."""
    fleet = Fleet.start(legacy, services=("price_watcher",))
    wait_until(lambda: list(present(legacy)))
    os.kill(fleet.pids["price_watcher"], signal.SIGKILL)
    wait_until(lambda: fleet.failed() == ["price_watcher"])
    assert (legacy / "price_watcher.pid").exists()
    assert list(present(legacy)) == []
    assert reload(legacy).returncode == 0
    with pytest.raises(ServiceFailed):
        fleet.stop()


def test_a_service_that_does_not_come_to_the_side_it_should_fails_the_reload(legacy):
    """Its database cannot be reached; in the end it cannot look for what it has written, either."""
    environment.write(legacy, f"host={legacy} connect_timeout=1")
    fleet = Fleet.start(legacy, services=("price_watcher",))
    wait_until(lambda: list(present(legacy)))
    envfile.change(legacy / environment.FILE, {"DB_ENGINE": "postgresql"})
    impatient = subprocess.run(
        [sys.executable, "-c", IMPATIENT, str(legacy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    with pytest.raises(ServiceFailed, match="price_watcher"):
        fleet.stop()
    assert impatient.returncode == 1
    assert "price_watcher has not begun again" in impatient.stderr


IMPATIENT = """
import sys
from cdc.demo import reload
reload.PATIENCE_SECONDS = 0.5
sys.exit(reload.main(sys.argv[1:]))
"""
