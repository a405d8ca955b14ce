"""A backup is of moments that belong together, and is tried before it is called one."""

import errno
import fcntl
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Timer

import pytest

from cdc.backup import manifest, trial
from cdc.backup.holding import Holding
from cdc.backup.making import BackupMaking
from cdc.backup.restoring import compare_contents
from cdc.backup.shelf import Shelf
from cdc.backup.trial import BackupTrial
from cdc.errors import BackupDamaged, BackupError, TargetRefused
from cdc.postgres import hold_back, scratch, state
from cdc.stop import Stop
from tests.backup.conftest import database_of
from tests.support.waiting import wait_until


def test_restored_pair_goes_on_from_a_backup_made_under_load(site, vault):
    """Both sides of a backup that was made beside a writer and a daemon that prunes become equal
    by themselves, and everything works there: replication, archive, proof."""
    storm = site.storm("--journal", "DELETE", "--pause", 0.003, "--keys", 300)
    site.configure(more="[archive]\nprune_after_seconds = 0\nsegment_seconds = 0.2\n")
    daemon = site.daemon()
    outcome = site.cdc("backup", "--json", seconds=120)
    assert outcome.code == 0, outcome
    report = storm.stop()
    assert daemon.stop() == 0
    assert report.errors == []
    said = outcome.json
    assert said["good"]
    assert said["trial"]["tables"] == 7
    [source] = said["sources"]
    assert source["end"] >= source["position"] > 0

    dsn = vault.elsewhere()
    restored = site.cdc("restore", "latest", "--into", "back", "--dsn", dsn, "--json")
    assert restored.code == 0, restored
    assert restored.json["database"] == database_of(dsn)
    back = vault.restored_site(vault.restore(vault.shelf.find("latest"), "again"), "again")
    assert back.postgres("SELECT applied_seq FROM cdc.source") == [(source["position"],)]
    back.sqlite("INSERT INTO t (v) VALUES (7.25)")
    back.catch_up()
    back.assert_equal()
    [(end,)] = back.postgres("SELECT applied_seq FROM cdc.source")
    assert end == source["end"] + 1
    assert back.cdc("archive", "status", "-c", back.config_path).code == 0


def test_old_backups_go_only_once_a_new_one_is_proven(site, vault):
    """`keep` counts proven backups. One whose sides differ is none: it takes nobody's place."""
    site.configure(more="[backup]\nkeep = 2\n")
    site.catch_up()
    first, second = vault.make(), vault.make()
    assert vault.shelf.backups() == [first.folder, second.folder]
    _write_past_the_guard(site, "UPDATE t SET w = 'other' WHERE id = 2")
    bad = site.cdc("backup")
    assert bad.code == 1
    assert "not proven: shop.t: 1 rows different" in bad.err
    assert "this is no backup" in bad.err
    assert vault.shelf.backups() == [first.folder, second.folder]
    _write_past_the_guard(site, "UPDATE t SET w = 'ä' WHERE id = 2")
    third = vault.make()
    assert len(third.swept) == 1
    assert third.expired == [first.folder.name]
    assert vault.shelf.backups() == [second.folder, third.folder]
    shown = site.cdc("backup", "--list", "--json").json["backups"]
    assert [each["backup"] for each in shown] == [str(second.folder), str(third.folder)]


def _write_past_the_guard(site, statement):
    site.postgres(
        "DO $$ BEGIN PERFORM set_config('cdc.session', 'on', true);"
        f" {statement.replace('t SET', 'public.t SET')}; END $$"
    )


TRIES = 5
"""For a kill at a step that lasts a fraction of a second."""

STEPS = ("postgres.dump", "sources/shop.db", "trial", "scratch")


@pytest.mark.parametrize(
    "steps", [STEPS[1::2], pytest.param(STEPS * 5, marks=pytest.mark.soak)], ids=["some", "many"]
)
def test_killed_backup_leaves_what_the_next_one_removes(site, vault, steps):
    """At whatever step the kill comes: it is no backup, and nothing of it stays."""
    site.catch_up()

    def reached(step):
        if step == "scratch":
            return vault.scratch_databases()
        return list(vault.shelf.directory.glob(f"*.unfinished/{step}"))

    def kill_at(step):
        """Kill one there; whether it was not done before."""
        process = site.cdc.begin("backup")
        wait_until(lambda: reached(step) or process.poll() is not None, 60)
        process.kill()
        process.communicate()
        made = vault.shelf.backups()
        for each in made:
            shutil.rmtree(each)
        return not made

    for step in steps:
        assert any(kill_at(step) for _ in range(TRIES))
    made = vault.make()
    assert made.swept
    assert [each.name for each in vault.shelf.directory.iterdir() if each.name != ".lock"] == [
        made.folder.name
    ]
    assert vault.scratch_databases() == []
    assert site.postgres("SELECT * FROM cdc.hold_back") == []


def test_stop_leaves_nothing(site, vault):
    """Ctrl-C and SIGTERM end it at once, and cleanly."""
    site.catch_up()
    for _ in range(TRIES):
        process = site.cdc.begin("backup")
        wait_until(lambda: list(vault.shelf.directory.glob("*.unfinished")), 60)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        if process.returncode:  # it was not done before
            break
        shutil.rmtree(vault.shelf.directory)
    assert (process.returncode, err) == (130, "")
    assert list(vault.shelf.directory.glob("2*")) == []
    assert vault.scratch_databases() == []


def test_every_flipped_bit_of_a_backup_is_found_before_anything_is_restored(site, vault):
    """In the dump, in a file, in the manifest; as is a file that is missing."""
    site.catch_up()
    folder = vault.make().folder
    files = [each for each in sorted(folder.rglob("*")) if each.is_file()]
    assert [each.name for each in files] == ["manifest.json", "postgres.dump", "shop.db"]
    for file in files:
        whole = file.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 3):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(BackupDamaged):
                vault.restore(folder)
        file.unlink()
        with pytest.raises(BackupDamaged):
            vault.restore(folder)
        file.write_bytes(whole)
    assert not (site.folder / "back").exists()
    assert vault.restore(folder).files["shop"].exists()


def test_dump_that_does_not_hold_what_the_snapshot_held_is_found(site, vault):
    """The tables are compared with the moment of the dump itself, row by row."""
    site.catch_up()
    kept = manifest.read(vault.make().folder)
    with site.target() as target, target.lease() as conn:
        site.postgres("DELETE FROM cdc.hold_back")
        with pytest.raises(BackupError, match=r'Restored, "cdc"."hold_back" do not hold'):
            compare_contents(conn, kept)
        site.postgres("CREATE TABLE public.more (x int)")
        with pytest.raises(BackupError, match=r'"public"."more"'):
            compare_contents(conn, kept)
        site.postgres("DROP TABLE public.more")
        _write_past_the_guard(site, "UPDATE t SET v = 2 WHERE id = 1")
        with pytest.raises(BackupError, match=r'"public"."t" do not hold'):
            compare_contents(conn, kept)


def test_events_that_a_backup_needs_are_not_pruned(site, vault):
    """The event at the position is one of them: by it the daemon knows the log again."""
    site.catch_up()
    site.sqlite("UPDATE t SET v = 0")
    with site.target() as target, target.lease() as conn:
        with Holding(conn, lambda: {"shop": 2}):
            assert hold_back.give_up(conn, "shop", 3) == 1
        assert hold_back.give_up(conn, "shop", 3) == 3
        held = Holding(conn, lambda: {"shop": 2})
        with pytest.raises(BackupError, match="were pruned"), held:
            pass


def test_what_was_pruned_just_now_is_no_reason_to_fail(site, vault):
    """The daemon has gone on since the position was read: it is read again."""
    site.catch_up()
    site.sqlite("UPDATE t SET v = 0")
    positions = iter([2, 2, 4])
    with site.target() as target, target.lease() as conn:
        assert hold_back.give_up(conn, "shop", 3) == 3
        with Holding(conn, lambda: {"shop": next(positions)}):
            assert site.postgres("SELECT source, seq FROM cdc.hold_back") == [("shop", 3)]
        assert site.postgres("SELECT * FROM cdc.hold_back") == []


def test_backup_while_postgres_is_master_is_of_postgres_alone(site, vault):
    """Even when the files are gone, as they may be once that is for good."""
    site.catch_up()
    site.postgres("SELECT cdc.turn_gate(true, epoch) FROM cdc.gate")
    site.file().unlink()
    made = vault.make()
    assert made.kept.database.master
    assert made.kept.sources == ()
    assert made.kept.trial.equal
    restored = vault.restore(made.folder)
    assert restored.files == {}


def test_backup_is_refused_where_nothing_can_come_of_it(site, vault):
    """Before anything is written: never replicated, an unknown source, a role without the right."""
    outcome = site.cdc("backup")
    assert (outcome.code, "nothing was ever replicated" in outcome.err) == (3, True)
    site.catch_up()
    outcome = site.cdc("backup", "--source", "shop", "--source", "other")
    assert (outcome.code, 'no source "other"' in outcome.err) == (2, True)
    with site.target() as target, target.lease() as conn:
        humble = f"cdc_test_humble_{os.getpid()}"
        conn.execute(f"CREATE ROLE {humble}")
        try:
            conn.execute(f"SET ROLE {humble}")
            with pytest.raises(TargetRefused, match="may not create databases"):
                scratch.check_right(conn)
        finally:
            conn.execute("RESET ROLE")
            conn.execute(f"DROP ROLE {humble}")
    assert vault.shelf.backups() == []


def test_one_backup_at_a_time(site, vault):
    site.catch_up()
    with vault.shelf.alone():
        outcome = site.cdc("backup")
    assert outcome.code == 3
    assert "Another backup is being made" in outcome.err
    with site.target() as target, target.lease() as one, target.lease() as another:
        late = scratch.alone(another, "try", patience=0.1)
        refused = pytest.raises(TargetRefused, match="another cdc uses the scratch database")
        with scratch.alone(one, "try"), refused, late:
            raise AssertionError


def test_child_of_a_backup_that_was_killed_is_waited_for(site, vault):
    """It may have the lock for a moment, until it has become the program that it is to be."""
    site.catch_up()
    with vault.shelf.alone():
        lock = os.open(vault.shelf.directory / ".lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ending = Timer(0.2, os.close, [lock])
    ending.start()
    assert vault.make().kept.trial.equal
    ending.join()


def test_session_of_a_backup_that_was_killed_is_waited_for(site, vault):
    """The server notices only when it gets to it that the process is gone."""
    site.catch_up()
    with site.target() as target, target.lease() as conn, ThreadPoolExecutor() as pool:
        with scratch.alone(conn, "try"):
            made = pool.submit(vault.make)
            wait_until(lambda: site.advisory_waits)
        assert made.result().kept.trial.equal


def test_a_stop_while_the_backup_is_tried_says_nothing_of_it(site, vault, monkeypatch):
    """It is stopped like any other, and not called unequal because its proof was cut short."""
    site.catch_up()
    stop, prove = Stop(), trial.prove

    def cut_short(*arguments, **options):
        stop.ask()
        return prove(*arguments, **options)

    monkeypatch.setattr(trial, "prove", cut_short)
    with pytest.raises(KeyboardInterrupt):
        vault.make(stop)
    assert list(vault.shelf.directory.glob("2*")) == []
    assert vault.scratch_databases() == []


def test_source_that_is_uninstalled_meanwhile(site, vault, monkeypatch):
    """Between the look at its position and the snapshot: the error says so."""
    site.catch_up()
    read = BackupMaking._positions

    def and_forget(*arguments):
        positions = read(*arguments)
        with site.target() as target, target.lease() as conn:
            state.forget_source(conn, "shop")
        return positions

    monkeypatch.setattr(BackupMaking, "_positions", and_forget)
    with pytest.raises(BackupError, match="shop was uninstalled while"):
        vault.make()
    assert list(vault.shelf.directory.glob("2*")) == []


def test_what_keeps_a_backup_from_being_made_is_told(site, vault, monkeypatch):
    """A disk that is full at the very end, and a folder that somebody has taken away."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def away(_, __, folder, *___):
        shutil.rmtree(folder)
        raise BackupError("as if")

    site.catch_up()
    for of, name, fail, words in (
        (manifest, "write", full, "No space left"),
        (BackupTrial, "run", away, "as if"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(of, name, fail)
            with pytest.raises(BackupError, match=words):
                vault.make()
        assert list(vault.shelf.directory.glob("2*")) == []


def test_directory_that_cannot_be_looked_at(tmp_path):
    """Neither the list nor the newest backup can be told."""
    shelf = Shelf(tmp_path / ("x" * 300))
    for ask in (shelf.backups, lambda: shelf.find("latest")):
        with pytest.raises(BackupError, match="cannot be looked at"):
            ask()
