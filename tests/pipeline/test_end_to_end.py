"""A file from its first copy to the tail, with the command as a person uses it."""

import ast
import subprocess
import sys
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cdc.pipeline.daemon import Daemon
from cdc.proof import watch
from cdc.sqlite.lock import holder
from cdc.stop import Stop

SHOP = (Path(__file__).parent / "shop.sql").read_text(encoding="utf-8")

DUMP = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute(f'SELECT * FROM "{sys.argv[2]}"').fetchall())
"""


@pytest.fixture
def shop(site):
    """The site with the shop in its file."""
    site.sqlite(SHOP)
    return site


def rows_by_python(path, table):
    """The rows of a table, read by Python's own sqlite3."""
    command = [sys.executable, "-c", DUMP, str(path), table]
    return ast.literal_eval(subprocess.run(command, capture_output=True, text=True).stdout)


def plain(row):
    """A row of psycopg in the values that Python's sqlite3 has for it."""
    return tuple(map(_plain, row))


def _plain(value):
    match value:
        case Decimal():
            return int(value) if value == int(value) else float(value)
        case datetime():
            return value.isoformat(" ")
        case bool():
            return int(value)
        case _:
            return value


def test_init_and_run_give_every_row_of_every_table(shop):
    """Two commands bring a file into PostgreSQL, and both sides are equal row by row."""
    assert shop.cdc("init", "shop.db", "--dsn", shop.dsn).code == 0
    assert shop.cdc("run", "--until-caught-up").code == 0
    shop.assert_equal()
    shop.assert_position_exact()
    shop.sqlite("DELETE FROM track WHERE track_id % 5 = 0; UPDATE album SET title = upper(title)")
    assert shop.cdc("run", "--until-caught-up").code == 0
    shop.assert_equal()


@pytest.mark.parametrize("table", ["artist", "album", "track", "playlist_track", "change_count"])
def test_rows_are_those_that_other_programs_read(shop, table):
    """Two drivers that share nothing with cdc read the same values from the two sides."""
    shop.configure()
    shop.catch_up()
    ours = Counter(rows_by_python(shop.file(), table))
    theirs = Counter(map(plain, shop.postgres(f"SELECT * FROM {table}")))
    assert ours == theirs
    assert ours


def test_changes_made_while_the_daemon_runs_arrive(shop):
    """What another process writes is on the other side shortly after its last write."""
    shop.configure()
    daemon = shop.daemon()
    storm = shop.storm("--journal", "WAL")
    daemon.wait_until(lambda: shop.lags()[0].applied_seq > 500)
    report = storm.stop()
    shop.wait_until_equal(daemon=daemon)
    assert (report.errors, report.locked) == ([], 0)
    assert shop.postgres("SELECT count(*), max(n) FROM journal") == [
        (report.commits, report.newest)
    ]
    assert daemon.stop() == 0
    shop.assert_position_exact()


def test_cascades_and_triggers_of_the_application_arrive(shop):
    """What a foreign key or a trigger changes is a change like any other."""
    shop.configure()
    daemon = shop.daemon()
    shop.sqlite(
        "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;"
        "DELETE FROM artist WHERE artist_id < 40;"
        "UPDATE artist SET artist_id = artist_id + 10000 WHERE artist_id < 80;"
        "INSERT INTO album (title, artist_id) VALUES ('new', 200);"
        "REPLACE INTO customer VALUES ('PERSON1@example.com', 'Person 2', 'X2', NULL)"
    )
    shop.wait_until_equal(daemon=daemon)
    assert shop.postgres("SELECT changes FROM change_count") == [(348,)]


def test_restart_goes_on_where_it_ended(shop):
    """A restart copies nothing again: the same tables, the same number of copied rows."""
    shop.configure()
    assert shop.daemon().stop() == 0
    copied, created = shop.copied_rows(), shop.created()
    shop.sqlite("DELETE FROM visit WHERE rowid % 2; INSERT INTO empty VALUES (1, 'something')")
    daemon = shop.daemon()
    shop.wait_until_equal(daemon=daemon)
    assert daemon.said("copied") == []
    assert (shop.copied_rows(), shop.created()) == (copied, created)


def test_many_restarts_under_load_lose_nothing(shop):
    """Stopping and starting again while the application writes is invisible in the result."""
    shop.configure()
    storm = shop.storm("--journal", "WAL")
    for _ in range(3):
        daemon = shop.daemon()
        before = shop.lags()[0].applied_seq
        daemon.wait_until(lambda before=before: shop.lags()[0].applied_seq > before)
        assert daemon.stop() == 0
    storm.stop()
    shop.catch_up()
    shop.assert_equal()
    shop.assert_position_exact()


def test_whatever_keeps_the_daemon_from_running_nothing_stays_held(shop, monkeypatch):
    def fail(*_):
        raise RuntimeError("as if")

    shop.configure()
    shop.catch_up()
    monkeypatch.setattr(watch, "DriftWatch", fail)
    with shop.target() as target:
        daemon = Daemon(shop.config, target, Stop())
        daemon.open()
        assert holder(shop.file()) is not None
        with pytest.raises(RuntimeError, match="as if"):
            daemon.run()
    assert holder(shop.file()) is None
