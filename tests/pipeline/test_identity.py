"""A file that is not the one that was replicated so far is noticed before anything is applied."""

import shutil
import signal

import apsw
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.processes import stands_still
from tests.support.waiting import wait_until

STAFF = "CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT)"


@pytest.fixture
def shop(site):
    """The site, replicated up to event 3, with a backup that ends at event 2."""
    site.sqlite(STAFF)
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO staff VALUES (1, 'A'), (2, 'B')")
    site.catch_up()
    shutil.copy(site.file(), site.file("backup.db"))
    site.sqlite("INSERT INTO staff VALUES (3, 'C')")
    site.catch_up()
    return site


def refused(site, *words):
    before = site.postgres("SELECT * FROM staff ORDER BY id")
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 3
    for word in words:
        assert word in outcome.err
    assert site.postgres("SELECT * FROM staff ORDER BY id") == before


def halted(site, daemon, *words):
    daemon.wait_for("halted")
    for word in words:
        assert word in daemon.said("halted")[0]["message"]
    assert daemon.ended() == 3
    assert site.postgres("SELECT count(*) FROM staff") == [(3,)]


def copied_again(site):
    """The remedy that the message names brings the file back, from the start."""
    assert site.cdc("uninstall").code == 0
    assert site.cdc("install").code == 0
    site.catch_up()
    site.assert_equal()
    site.assert_position_exact()


def test_file_restored_from_a_backup(shop):
    """A log that ends before the position is told, and nothing is applied from it."""
    shutil.copy(shop.file("backup.db"), shop.file())
    refused(shop, "older than the target", "cdc uninstall", "cdc install")
    copied_again(shop)


def test_backup_that_has_gone_its_own_way(shop):
    """As many events as before, but others: the digest of the last one tells."""
    shutil.copy(shop.file("backup.db"), shop.file())
    shop.sqlite("INSERT INTO staff VALUES (3, 'Z')")
    refused(shop, "has gone its own way", "cdc install")
    shop.sqlite("INSERT INTO staff VALUES (4, 'Z')")
    refused(shop, "has gone its own way")
    copied_again(shop)


def test_another_file_in_its_place(shop):
    """A file with a log of its own that fed a target is not taken for the first one."""
    shop.sqlite(STAFF, name="other.db")
    shop.configure("other.db", schema="elsewhere")
    shop.catch_up()
    shutil.copy(shop.file("other.db"), shop.file())
    shop.configure()
    refused(shop, "it is another file")


def test_file_whose_capture_was_removed(shop):
    """Without its changelog nobody knows what was missed: the operator decides."""
    assert shop.cdc("uninstall").code == 0
    shop.sqlite("DELETE FROM staff WHERE id = 1")
    refused(shop, "the capture was removed", "cdc install")
    assert shop.cdc("install").code == 0
    shop.catch_up()
    shop.assert_equal()


def test_second_target_for_a_file(shop):
    """The file remembers the one target that it feeds."""
    shop.postgres("CREATE DATABASE second_target")
    try:
        shop.configure(dsn=make_conninfo(shop.dsn, dbname="second_target"))
        outcome = shop.cdc("run", "--until-caught-up")
        assert outcome.code == 3
        assert "feeds another target" in outcome.err
        assert "cdc uninstall" in outcome.err
    finally:
        shop.postgres("DROP DATABASE second_target WITH (FORCE)")


def test_file_that_was_moved_goes_on(shop):
    """It is the log that makes the file, not its path."""
    shop.file().rename(shop.file("moved.db"))
    shop.sqlite("INSERT INTO staff VALUES (4, 'D')", name="moved.db")
    text = shop.config_path.read_text().replace('path = "shop.db"', 'path = "moved.db"')
    shop.config_path.write_text(text)
    outcome = shop.cdc("run", "--until-caught-up")
    assert outcome.code == 0
    assert "Copied" not in outcome.err
    shop.assert_equal()


def test_file_that_is_away_for_a_while_is_waited_for(shop):
    """A file that vanishes under the daemon is waited for, and never made anew."""
    daemon = shop.daemon()
    shop.file().rename(shop.file("aside.db"))
    daemon.wait_for("waiting")
    assert "does not exist" in daemon.said("waiting")[0]["message"]
    assert not shop.file().exists()
    shop.sqlite("INSERT INTO staff VALUES (4, 'D')", name="aside.db")
    shop.file("aside.db").rename(shop.file())
    daemon.wait_for("recovered")
    shop.wait_until_equal(daemon=daemon)


def test_backup_moved_into_place_under_the_daemon(shop):
    """The usual way to restore a file: another one takes its name."""
    daemon = shop.daemon()
    shop.file("backup.db").rename(shop.file())
    halted(shop, daemon, "older than the target")


def test_backup_restored_through_sqlite_under_the_daemon(shop):
    """`.restore` writes the backup's pages into the very file that is open."""
    daemon = shop.daemon()
    restore(shop)
    halted(shop, daemon, "older than the target")


def test_backup_copied_over_the_file_under_the_daemon(shop):
    """`cp` over a live file, as people do it: what is written after that is not skipped."""
    daemon = shop.daemon()
    stop_beside(shop, daemon)  # or it may look while the file is half written
    shutil.copy(shop.file("backup.db"), shop.file())
    # One more commit than since the backup: SQLite tells its own cache by their number.
    shop.sqlite("INSERT INTO staff VALUES (?, 'other')", (7,), (8,), (9,))
    daemon.send(signal.SIGCONT)
    halted(shop, daemon, "has gone its own way")


def stop_beside(site, daemon):
    """Stop the daemon where it stands, but not while it holds the file's lock."""

    def is_free():
        daemon.send(signal.SIGSTOP)
        wait_until(lambda: stands_still(daemon.pid))
        db = apsw.Connection(str(site.file()))
        try:
            db.execute("BEGIN EXCLUSIVE; ROLLBACK")
        except apsw.BusyError:
            daemon.send(signal.SIGCONT)
            return False
        finally:
            db.close()
        return True

    wait_until(is_free)


def restore(site):
    backup = apsw.Connection(str(site.file("backup.db")))
    with site.connection() as db, db.backup("main", backup, "main") as restoring:
        while not restoring.done:
            restoring.step(1)
    backup.close()
