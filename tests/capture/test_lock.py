"""One process at a time replicates a file, wherever its folder goes meanwhile."""

import errno
import os

import pytest

from cdc.errors import SourceHeld, SourceUnavailable
from cdc.sqlite.lock import SourceLock, holder, lock_path


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data" / "legacy.db"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture
def take():
    taken = []

    def make(database):
        taken.append(SourceLock.acquire(database, command="cdc run", target="nowhere"))
        return taken[-1]

    yield make
    for lock in taken:
        lock.release()


def move_away(database):
    """The whole folder, with another one in its place."""
    database.parent.rename(database.parent.with_name("old"))
    database.parent.mkdir()
    database.touch()


AWAY = {"removed": lambda database: lock_path(database).unlink(), "moved": move_away}


@pytest.mark.parametrize("away", AWAY)
def test_a_lock_is_kept_where_others_look_for_it(database, take, away):
    lock = take(database)
    assert not lock.keep()
    AWAY[away](database)
    assert holder(database) is None
    assert lock.keep()
    assert holder(database).command == "cdc run"
    with pytest.raises(SourceHeld):
        take(database)
    lock.release()
    assert not lock_path(database).exists()


def test_no_lock_is_made_where_there_is_no_file(database, take):
    """While the folder is away, or an empty one is in its place."""
    lock = take(database)
    database.parent.rename(database.parent.with_name("old"))
    with pytest.raises(SourceUnavailable, match=r"legacy.db does not exist"):
        lock.keep()
    database.parent.mkdir()
    with pytest.raises(SourceUnavailable, match=r"legacy.db does not exist"):
        lock.keep()
    assert not lock_path(database).exists()
    database.touch()
    assert lock.keep()


@pytest.mark.parametrize("away", AWAY)
def test_a_lock_that_another_one_has_by_now_is_his(database, take, away):
    """Neither taken again, nor taken away from him in the end."""
    lock = take(database)
    AWAY[away](database)
    other = take(database)
    with pytest.raises(SourceHeld):
        lock.keep()
    lock.release()
    assert holder(database) is not None
    other.release()
    assert holder(database) is None


def test_the_daemon_takes_its_lock_again(site):
    """A second one cannot start beside it, though somebody has removed what kept it out."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    site.configure()
    daemon = site.daemon()
    lock_path(site.file()).unlink()
    daemon.wait_for("lock_taken_again")
    said = site.cdc("run", "--until-caught-up")
    assert (said.code, "is held by cdc run" in said.err) == (3, True)
    assert daemon.stop() == 0
    assert not lock_path(site.file()).exists()


def test_lock_on_a_full_disk(database, monkeypatch):
    """It says so, and neither a lock nor a descriptor of it is left."""

    written_to = []

    def full(descriptor, *_):
        written_to.append(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SourceUnavailable, match="No space left"):
        SourceLock.acquire(database, command="test", target="none")
    assert not lock_path(database).exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(*written_to)


def test_lock_is_given_back_though_its_file_cannot_be_removed(database, monkeypatch):
    """The folder was made read-only while the daemon ran."""
    held = SourceLock.acquire(database, command="test", target="none")
    assert holder(database) is not None

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(type(database), "unlink", refuse)
        held.release()
    assert lock_path(database).exists()
    assert holder(database) is None
    SourceLock.acquire(database, command="test", target="none").release()


def test_user_without_a_name(database, monkeypatch):
    """As in many a container: the number will do."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    held = SourceLock.acquire(database, command="test", target="none")
    assert holder(database).user == "4000000000"
    held.release()


def test_lock_that_cannot_be_looked_at(database):
    assert holder(database / "below") is None
    lock_path(database).symlink_to(lock_path(database))
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        holder(database)
