"""The file at a path may go, or become another one, at any moment; around it may be anything."""

import os
import shutil
import sqlite3

import apsw
import pytest

from cdc.errors import SchemaMoved, SourceBusy, SourceUnavailable
from cdc.sqlite import surroundings
from cdc.sqlite.connection import SourceFile, is_there, translated


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    return path


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something happen to the file while it is opened."""

    def arrange(happens):
        configure = SourceFile._configure

        def interrupted(self):
            configure(self)
            happens()

        monkeypatch.setattr(SourceFile, "_configure", interrupted)

    return arrange


def test_file_that_goes_while_it_is_opened(path, meanwhile):
    """Nobody gets a connection to what has no name any more."""
    meanwhile(path.unlink)
    with pytest.raises(SourceUnavailable, match=r"legacy.db was replaced while it was opened"):
        SourceFile(path)


def test_file_that_is_replaced_while_it_is_opened(path, meanwhile):
    """Or the old one would be read on as if it were the new one."""
    other = shutil.copy(path, path.with_name("other.db"))
    meanwhile(lambda: other.rename(path))
    with pytest.raises(SourceUnavailable, match="replaced"):
        SourceFile(path)


def test_file_that_goes_later(path):
    """The one that is open has been replaced, whatever is there instead."""
    with SourceFile(path) as file:
        assert not file.replaced
        path.rename(path.with_name("aside.db"))
        assert file.replaced
        path.mkdir()
        assert file.replaced


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: shutil.rmtree(path.parent), "does not exist"),
        (lambda path: (shutil.rmtree(path.parent), path.parent.touch()), "does not exist"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
        (lambda path: (path.unlink(), path.symlink_to(path)), r"cannot be reached \(Too many"),
    ],
    ids=["file gone", "folder gone", "folder a file", "a folder", "a loop"],
)
def test_why_there_is_no_file(path, spoil, reason):
    """Whoever asks, the answer is an error that says so, and none of the operating system's."""
    spoil(path)
    assert not is_there(path)
    for ask in (SourceFile, surroundings.check_owner):
        with pytest.raises(SourceUnavailable, match=reason):
            ask(path)


def test_disk_of_a_folder_that_is_gone(path):
    """It may have been a disk of its own."""
    assert surroundings.free_mb(path) > 0
    shutil.rmtree(path.parent)
    with pytest.raises(SourceUnavailable, match=r"The disk of .*legacy.db cannot be looked at"):
        surroundings.free_mb(path)


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (apsw.ProtocolError, SourceBusy),
        (apsw.SchemaChangeError, SchemaMoved),
        (apsw.NoMemError, SourceUnavailable),
    ],
)
def test_what_passes_halts_no_source(path, raised, ours):
    with pytest.raises(ours), translated(path):
        raise raised("as if")


def test_mount_of_any_name(path, tmp_path, monkeypatch):
    """None of them keeps the file system of a file from being told."""
    mounts = tmp_path / "mounts"
    others = b"dev /mnt/\xff\xe9 ext4 rw 0 0\n", "dev /a\u2028b\xa0c\x85 ext4 rw 0 0\n".encode()
    mounts.write_bytes(b"".join([*others, b"server:/x %s nfs4 rw 0 0\n" % os.fsencode(tmp_path)]))
    monkeypatch.setattr(surroundings, "MOUNTS", mounts)
    assert surroundings._file_system(path) == "nfs4"
    monkeypatch.setattr(surroundings, "MOUNTS", tmp_path)  # reading it is an error
    assert surroundings._file_system(path) == ""
