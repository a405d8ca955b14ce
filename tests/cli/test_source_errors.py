"""A SQLite file that cannot be used: one message that says what to do, and exit code 3."""

import os
import pwd
from contextlib import closing

import apsw
import pytest

from tests.cli.conftest import STAFF
from tests.support.proxy import Proxy
from tests.support.sites import Site

ALL = ("plan", "run", "install", "uninstall", "status", "lag")


def test_missing_file(shop, refused):
    """A missing file stays missing: nothing is created in its place."""
    shop.file().unlink()
    for command in ALL:
        refused(shop.cdc(command), 3, "shop.db does not exist", "bring the file back")
    assert not shop.file().exists()


def test_directory_in_place_of_the_file(shop, refused):
    """A directory is no file."""
    shop.file().unlink()
    shop.file().mkdir()
    for command in ("run", "lag"):
        refused(shop.cdc(command), 3, "is not a file", "Correct the source's path")


def test_file_that_is_no_database(shop, refused):
    """Anything else than SQLite's format is refused and left as it is."""
    text = "This is no database, but long enough to be taken for one at first sight.\n" * 100
    shop.file().write_text(text)
    for command in ("run", "install", "status"):
        refused(shop.cdc(command), 3, "is not a SQLite database", "Correct the source's path")
    assert shop.file().read_text() == text


def test_init_on_what_is_no_database(site, refused):
    """`init` looks at the files before it writes anything."""
    site.file("folder").mkdir()
    site.file("text.txt").write_text("not a database, " * 1000)
    for name in ("missing.db", "folder", "text.txt"):
        refused(site.cdc("init", name), 3, name)
    assert not site.config_path.exists()


@pytest.fixture
def theirs(nobody, dsn):
    """A site in a folder of the user without privileges, and that user's id."""
    cdc, user = nobody
    site = Site(cdc.folder, dsn, cdc)
    site.sqlite(STAFF)
    # By way of TCP: the socket of the tests' server is closed to other users.
    with closing(Proxy(dsn)) as proxy:
        site.configure(dsn=proxy.dsn)
        if user is not None:
            for path in cdc.folder.iterdir():
                os.chown(path, user, user)
        yield site, user


def test_read_only_file(theirs, refused):
    """Capture writes to the file: without the right to, the message says which is missing."""
    site, user = theirs
    site.file().chmod(0o444)
    for command in ("run", "install"):
        refused(site.cdc(command, user=user), 3, "shop.db cannot be written", "let this user write")


def test_read_only_folder(theirs, refused):
    """The lock lies beside the file, as SQLite's own journal does."""
    site, user = theirs
    site.folder.chmod(0o555)
    try:
        refused(site.cdc("run", user=user), 3, "cannot be written", "folder")
    finally:
        site.folder.chmod(0o755)


def test_unreadable_file(theirs, refused):
    """A file that may not even be read is told as such."""
    site, user = theirs
    site.file().chmod(0o000)
    refused(site.cdc("run", user=user), 3, "shop.db cannot be opened", "read and write")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_file_of_somebody_else(shop, refused):
    """Who is not the owner could create files that the services cannot write."""
    owner = pwd.getpwnam("nobody")
    os.chown(shop.file(), owner.pw_uid, owner.pw_gid)
    for command in ALL:
        refused(shop.cdc(command), 3, "shop.db belongs to nobody, but cdc", "sudo -u nobody")
    assert sorted(path.name for path in shop.folder.iterdir()) == ["config.toml", "shop.db"]


def test_disk_without_room(shop, refused):
    """Below the threshold nothing starts that would grow the file."""
    shop.configure(min_free_disk_mb=100_000_000)
    for command in ("run", "install"):
        refused(shop.cdc(command), 3, "MB free", "min_free_disk_mb", "Make room")
    assert shop.sqlite("SELECT count(*) FROM sqlite_schema") == [(1,)]


def test_second_process_on_a_file(shop, refused):
    """One process at a time: the message says who it is."""
    daemon = shop.daemon()
    for command in ("run", "install", "uninstall"):
        refused(shop.cdc(command), 3, "is held by cdc run", f"process {daemon.pid}", "Stop that")
    shop.configure(dsn="postgresql://me@127.0.0.1:1/elsewhere")
    refused(shop.cdc("run"), 3, "shop.db is held by cdc run", "Stop that process first")
    assert daemon.stop() == 0


def test_lock_ends_with_its_process(shop):
    """After kill -9 nothing has to be cleaned up by hand."""
    shop.daemon().kill()
    shop.catch_up()


def test_file_locked_by_the_application(shop, refused):
    """A transaction that never ends is named as the reason."""
    shop.sqlite("PRAGMA journal_mode = DELETE")
    with shop.connection() as db:
        db.execute("BEGIN EXCLUSIVE")
        refused(shop.cdc("status"), 3, "shop.db is locked by another process")


def test_damaged_file(shop, refused):
    """A damaged file is no reason for a traceback."""
    shop.sqlite("PRAGMA page_size = 512; VACUUM")
    shop.sqlite("INSERT INTO staff VALUES (NULL, ?)", *(("x" * 300,) for _ in range(200)))
    shop.catch_up()
    content = bytearray(shop.file().read_bytes())
    content[512:] = b"\xff" * (len(content) - 512)
    shop.file().write_bytes(content)
    refused(shop.cdc("run", "--until-caught-up"), 3, "shop.db", "integrity_check")


def test_table_without_a_key_works_and_warns(shop):
    """Its rows are told apart by the rowid, which a VACUUM may renumber: the operator must know."""
    shop.sqlite("CREATE TABLE visits (page TEXT); INSERT INTO visits VALUES ('a'), ('b')")
    outcome = shop.cdc("init", "shop.db", "-c", "other.toml")
    assert "visits has no key" in outcome.err
    outcome = shop.cdc("run", "--until-caught-up")
    assert outcome.code == 0
    assert "Table visits has no key" in outcome.err
    assert "PRIMARY KEY" in outcome.err
    shop.assert_equal()


def test_uninstall_leaves_the_file_as_it_was(site):
    """Only objects named _cdc_* are added, and all of them go."""
    site.sqlite(STAFF + "; CREATE TABLE visits (page TEXT); CREATE UNIQUE INDEX i ON staff (name)")
    site.configure()
    look = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
    before = site.sqlite(look)
    site.catch_up()
    assert [row for row in site.sqlite(look) if not row[1].startswith("_cdc_")] == before
    outcome = site.cdc("uninstall")
    assert outcome.code == 0
    assert "no longer captured: staff, visits" in outcome.err
    assert site.sqlite(look) == before
    assert "nothing was captured" in site.cdc("uninstall").err


def test_uninstall_of_one_table_leaves_the_others(site):
    """It is left alone until it is taken back, and then copied again."""
    site.sqlite(STAFF + "; CREATE TABLE visits (page TEXT)")
    site.configure()
    site.catch_up()
    assert site.cdc("uninstall", "--table", "STAFF").code == 0
    assert site.sqlite("SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'trigger'") == [
        ("visits",)
    ]
    site.sqlite("ALTER TABLE staff DROP COLUMN name")
    assert site.cdc("install", "--table", "staff").code == 0
    site.catch_up()
    site.assert_equal()


def test_file_in_a_format_of_the_future(shop, refused):
    """A log of a newer version is not guessed at."""
    shop.catch_up()
    db = apsw.Connection(str(shop.file()))
    db.execute("UPDATE _cdc_log SET format = 99")
    db.close()
    refused(shop.cdc("run"), 3, "format 99", "Use the version of cdc")
