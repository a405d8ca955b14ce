"""Baselines are exact however they are written, and as many are kept as the states need."""

import errno
import os
import random

import pytest

from cdc.archive.retention import DAY_SECONDS, expendable
from cdc.archive.writing import Limits
from cdc.errors import ArchiveError
from cdc.pipeline import archiving
from cdc.pipeline.archiving import SourceArchive
from cdc.postgres import archived
from cdc.stop import Stop

ROWS = 300


@pytest.fixture
def full(store):
    """A store with a baseline of 300 rows."""
    store.site.sqlite("INSERT INTO t VALUES (?, 0.5, 'row')", *[(i,) for i in range(ROWS)])
    store.site.catch_up()
    return store


def want(store):
    with store.site.target() as target, target.lease() as conn:
        archived.want_baselines(conn, "shop", ["t"])


def work(store, limits):
    """One pass of an archiver that has just been started."""
    [source] = store.site.config.sources
    with store.site.target() as target:
        archive = SourceArchive(store.site.config, source, target, Stop())
        archive._limits = limits
        archive.work()


def rows(store):
    return {row[:1]: row for row in store.site.sqlite("SELECT * FROM t")}


@pytest.mark.parametrize("seed", range(3))
def test_a_baseline_that_is_interrupted_goes_on_and_is_exact(full, monkeypatch, seed):
    """Each of its parts is written by another process, and the application writes in between."""
    chance = random.Random(seed)
    monkeypatch.setattr(archiving, "READ_EVENTS", 25)
    monkeypatch.setattr(archiving, "BASELINE_SECONDS", 0.0)
    want(full)
    while len(full.archive.baselines()) < 2:
        for _ in range(20):
            old, new = chance.randrange(ROWS), chance.randrange(-50, ROWS + 50)
            full.site.sqlite(
                chance.choice(
                    (
                        f"UPDATE t SET v = v + 1 WHERE id = {old}",
                        f"UPDATE OR REPLACE t SET id = {new} WHERE id = {old}",
                        f"DELETE FROM t WHERE id = {old}",
                        f"INSERT OR REPLACE INTO t VALUES ({new}, {chance.random()}, 'new')",
                    )
                )
            )
        work(full, Limits(events=1_000, size=1))
    baseline = full.archive.baselines()[-1]
    assert len(baseline.segments) > 5
    assert baseline.first_as_of < baseline.last_as_of
    full.site.catch_up()
    assert full.rebuilt() == rows(full)
    assert full.findings() == []
    full.site.assert_equal()


def test_what_the_days_to_be_kept_need_is_kept(full):
    """The baseline from before the first of these days stays, and all that came after it."""
    for word in ("a", "b", "c"):
        full.site.sqlite(f"UPDATE t SET w = '{word}'")
        want(full)
        full.site.catch_up()
    archive = full.archive
    segments = archive.chain.segments
    baselines = archive.baselines()
    assert len(baselines) == 4
    now = baselines[2].created_at + 100 * DAY_SECONDS

    def kept(keep_days):
        count = expendable(archive, [1], now=now, keep_days=keep_days, keep_bytes=0)
        return [s.number for s in segments[count:]]

    assert kept(0) == kept(1_000) == [s.number for s in segments]
    days_since_second = (now - baselines[1].created_at) / DAY_SECONDS
    # A day between the second baseline and the third needs the second.
    [first, *_] = kept((days_since_second + 100) / 2)
    assert first <= baselines[1].number
    needed = [s for s in segments if s.kind == "events" and s.number >= first]
    assert needed[0].events.first <= baselines[1].first_as_of + 1
    assert first > baselines[0].number
    # A table without a baseline would lose what nobody else has.
    assert expendable(archive, [1, 2], now=now, keep_days=1, keep_bytes=1) == 0


def test_a_log_that_is_installed_anew_has_an_archive_of_its_own(full):
    """The old one stays, and is looked at as well, until it is too old."""
    site = full.site
    assert site.cdc("uninstall").code == 0
    assert site.cdc("install").code == 0
    site.sqlite("UPDATE t SET w = 'anew'")
    site.catch_up()
    assert full.archived == [*range(1, ROWS + 1)]
    assert full.rebuilt() == rows(full)
    directory = site.folder / ".cdc" / "archive" / "shop"
    assert len([*directory.iterdir()]) == 2
    assert full.findings() == []
    [old] = [path for path in directory.iterdir() if path.name != full.archive.log]
    next(old.iterdir()).unlink()
    assert [finding.what for finding in full.findings()] == ["missing"]


def test_a_full_disk_stops_the_archive_and_harms_nothing(full, monkeypatch):
    """What could not be written is written when there is room again."""
    site = full.site
    site.sqlite("UPDATE t SET w = 'later'")
    before = [s.path for s in full.archive.chain.segments]
    with monkeypatch.context() as patch:

        def fail(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(os, "fsync", fail)
        site.catch_up()
        with pytest.raises(ArchiveError, match="No space left on device"):
            work(full, Limits(events=10, size=1_000))
    assert [s.path for s in full.archive.chain.segments] == before
    assert len(full.live) >= ROWS
    site.assert_equal()
    site.catch_up()
    assert full.rebuilt() == rows(full)
    assert full.findings() == []
