"""A restore never writes over anything, and leaves everything where it was when it fails."""

import errno
import os

import pytest

from cdc import durable
from cdc.backup import restoring
from cdc.backup.restore import Restore, check_into
from cdc.errors import BackupError, CdcError
from cdc.stop import Stop
from tests.backup.conftest import database_of


def test_what_is_there_is_refused_or_moved_aside(site, vault):
    """With --yes the restored pair takes its place, and what was there goes on under a new name."""
    site.catch_up()
    folder = vault.make().folder
    dsn = vault.elsewhere()
    vault.restore(folder, "back", dsn)
    place = ("--into", "back", "--dsn", dsn)
    refused = site.cdc("restore", folder, *place)
    assert refused.code == 3
    assert "back/shop.db" in refused.err
    assert "which is not empty" in refused.err

    (site.folder / "back" / "shop.db").write_bytes(b"mine")
    done = site.cdc("restore", folder, *place, "--yes", "--json")
    assert done.code == 0, done
    aside = done.json["aside"]
    assert len(aside) == 2
    assert [p.read_bytes() for p in site.folder.glob("back/*.before-restore-*")] == [b"mine"]
    names = {name for (name,) in site.postgres("SELECT datname FROM pg_database")}
    assert any(name.startswith(f"{database_of(dsn)}_before_") for name in names)


def test_failed_restore_leaves_everything_where_it_was(site, vault, monkeypatch):
    """Neither a file nor a database is there afterwards that was not before, nor is one gone."""
    site.catch_up()
    folder = vault.make().folder
    dsn = vault.elsewhere()
    vault.restore(folder, "back", dsn)
    mine = site.folder / "back" / "shop.db"
    before = mine.read_bytes()
    names = vault.restored_databases()

    def fail(*_):
        raise BackupError("as if")

    monkeypatch.setattr(restoring, "settle", fail)
    for where in (dsn, vault.elsewhere()):
        with pytest.raises(BackupError, match="as if"):
            vault.restore(folder, "back", where)
        assert [each.name for each in (site.folder / "back").iterdir()] == ["shop.db"]
        assert mine.read_bytes() == before
    assert vault.restored_databases() == names == [database_of(dsn)]


def test_a_file_that_cannot_be_renamed_undoes_all(site, vault, monkeypatch):
    """The database has its old name again, and so has every file."""
    site.catch_up()
    folder = vault.make().folder
    dsn = vault.elsewhere()
    vault.restore(folder, "back", dsn)
    mine = site.folder / "back" / "shop.db"
    mine.write_bytes(b"mine")
    names = vault.restored_databases()
    rename = durable.rename

    def fail(old, new):
        if old.name.endswith(restoring.UNFINISHED):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(old, new)

    monkeypatch.setattr(durable, "rename", fail)
    with pytest.raises(BackupError, match="Input/output error"):
        vault.restore(folder, "back", dsn)
    assert {each.name: each.read_bytes() for each in mine.parent.iterdir()} == {"shop.db": b"mine"}
    assert vault.restored_databases() == names == [database_of(dsn)]


def test_where_no_file_can_lie_is_told_first(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("none")
    check_into(tmp_path / "none" / "below")
    for into in ("file", "file/below", "nowhere"):
        with pytest.raises(BackupError, match="is not a directory"):
            check_into(tmp_path / into)


def test_restore_into_an_empty_database_needs_no_right_to_make_one(site, vault):
    """The operator has made it; it is filled, and not replaced."""
    site.catch_up()
    folder = vault.make().folder
    dsn = vault.elsewhere()
    site.postgres(f"CREATE DATABASE {database_of(dsn)}")
    oid = "SELECT oid FROM pg_database WHERE datname = %s"
    before = site.postgres(oid, database_of(dsn))
    vault.restore(folder, "back", dsn)
    assert site.postgres(oid, database_of(dsn)) == before


def test_roles_that_are_missing_are_named_first(site, vault):
    site.catch_up()
    role = f"cdc_test_reader_{os.getpid()}"
    site.postgres(f"CREATE ROLE {role}")
    site.postgres(f"GRANT SELECT ON t TO {role}")
    folder = vault.make().folder
    granted = vault.restored_site(vault.restore(folder))
    assert granted.postgres("SELECT has_table_privilege(%s, 't', 'SELECT')", role) == [(True,)]
    vault.drop()
    site.postgres(f"REVOKE ALL ON t FROM {role}")
    site.postgres(f"DROP ROLE {role}")
    work = Restore(folder, site.folder / "again", vault.elsewhere(), Stop())
    with pytest.raises(BackupError, match=f"lacks roles .*{role}"):
        work.look()


def test_postgres_alone_put_back_catches_up_with_the_files(site, vault, monkeypatch):
    """PostgreSQL is lost, the files are not: what was pruned since comes from the archive."""
    at_once = "[archive]\nprune_after_seconds = 0\n"
    site.configure(more=at_once)
    site.catch_up()
    folder = vault.make().folder
    site.sqlite(
        "INSERT INTO named WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 1500) SELECT 'n' || i, i FROM n"
    )
    site.catch_up()
    assert site.sqlite("SELECT min(seq) FROM _cdc_changelog") == [(1500,)]
    dsn = vault.elsewhere()
    vault.restore(folder, "unused", dsn)
    with monkeypatch.context() as patch:
        patch.setattr(site, "dsn", dsn)
        site.configure(more=at_once)
        site.catch_up()
        site.assert_equal()
        outcome = site.cdc("archive", "verify")
    assert outcome.code == 0, outcome


def test_file_has_its_rights_and_its_journal_mode_again(site, vault):
    """Other users' services can open it, and in WAL mode readers do not wait for writers."""
    site.sqlite("PRAGMA journal_mode = WAL")
    site.file().chmod(0o664)
    site.catch_up()
    restored = vault.restored_site(vault.restore(vault.make().folder))
    assert restored.file().stat().st_mode & 0o777 == 0o664
    assert sorted(each.name for each in restored.folder.glob("shop*")) == ["shop.db"]
    assert restored.sqlite("PRAGMA journal_mode") == [("wal",)]


def test_file_in_use_is_not_taken_away(site, vault):
    """A service that has it open would go on with the one that was moved aside."""
    site.catch_up()
    folder = vault.make().folder
    storm = site.storm()
    with pytest.raises(CdcError, match=r"In use: .*shop"):
        vault.restore(folder, ".")
    storm.stop()


def test_backup_that_is_not_there_is_named(site, vault):
    site.catch_up()
    outcome = site.cdc("restore", "latest", "--into", "back", "--dsn", vault.elsewhere())
    assert outcome.code == 3
    assert "There is no backup 'latest'" in outcome.err
