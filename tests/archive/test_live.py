"""Archiving and pruning beside an application that never rests."""

import os
import random

import pytest

from cdc.demo import files
from cdc.demo.fleet import Fleet, make_history
from tests.archive.conftest import Store
from tests.support.waiting import wait_until

BUSY = "[archive]\nprune_after_seconds = 0\nsegment_seconds = 0.2\nsegment_events = 1000\n"

TRADE_MANAGER = ("--timeout", 0.25, "--journal", "DELETE", "--pause", 0.003, "--keys", 300)
READER = ("--timeout", 0.25, "--journal", "DELETE", "--pause", 0.002, "--read")

EVENTS = 8_000

ROUNDS = 3
"""On a machine with other work somebody meets a lock now and then, whoever stood in the way; and
who prunes gets no turn for a while."""

PATIENCE_SECONDS = 90.0
"""For the archiver, which tries again only after half a minute where a file could not be read."""

EVENTS_OF_A_DAY = int(os.environ.get("CDC_SOAK_EVENTS", "700000"))
"""A price and about seven updates of active trades each second, and what comes and goes beside."""

STORM_EVENTS = int(os.environ.get("CDC_STORM_EVENTS", "2000000"))
MOST_LIVE = 100_000
"""Events that may wait to be pruned, where the machine has other things to do."""
MOST_ROOM = 16 * 1024 * 1024
"""Bytes of the file that are not the application's; all events of the storm take ten times that."""

SLACK_PAGES = 100
"""Fewer than 1,000 events of a file are not worth pruning yet."""


def captured(site):
    return site.sqlite("SELECT coalesce(max(seq), 0) FROM _cdc_changelog")[0][0]


def test_an_impatient_writer_meets_no_lock_and_the_changelog_stays_small(site):
    """A writer that waits 0.25 s, in rollback-journal mode, beside two readers: pruning gives way,
    and yet keeps up; what is pruned makes room for what comes."""
    site.storm(*TRADE_MANAGER, "--commits", 1).stop()  # makes its tables
    site.configure(more=BUSY)
    daemon = site.daemon()
    for _ in range(ROUNDS):
        reports, lengths, pages = go_on_impatiently(site)
        assert [report.errors for report in reports] == [[], [], []]
        no_locks = not any(report.locked for report in reports)
        # In the second half of the run the file has hardly grown.
        if no_locks and max(lengths) < EVENTS / 2 and pages[-1] < pages[len(pages) // 2] * 1.5:
            break
    else:
        raise AssertionError((reports, max(lengths), pages[len(pages) // 2], pages[-1]))
    site.wait_until_equal(daemon=daemon)
    daemon.wait_until(lambda: len(Store(site).live) < 1_200, PATIENCE_SECONDS)
    assert daemon.stop() == 0
    assert Store(site).findings() == []


def go_on_impatiently(site):
    """What the writer and its readers met in so many events, and how long the changelog was
    meanwhile, and the file.
    """
    storms = [site.storm(*TRADE_MANAGER), site.storm(*READER), site.storm(*READER)]
    end = captured(site) + EVENTS
    lengths, pages = [], []

    def enough():
        [(length,)] = site.sqlite("SELECT count(*) FROM _cdc_changelog")
        lengths.append(length)
        pages.append(site.sqlite("PRAGMA page_count")[0][0])
        return captured(site) > end

    wait_until(enough, 120)
    return [storm.stop() for storm in storms], lengths, pages


def test_kills_at_random_moments_lose_and_repeat_no_event(site):
    """kill -9 of the daemon while it archives, prunes and writes baselines."""
    chance = random.Random(7)
    site.configure(more=BUSY)
    storm = site.storm("--journal", "WAL", "--seed", 7, "--pause", 0.002)
    store = Store(site)

    def segments():
        return sum(each.kind == "events" for each in store.archive.chain.segments)

    for _ in range(6):
        daemon = site.daemon()
        wanted = segments() + chance.randint(1, 4)
        daemon.wait_until(lambda wanted=wanted: segments() >= wanted, PATIENCE_SECONDS)
        daemon.kill()
        archived, live = store.archived, store.live
        assert archived == [*range(1, len(archived) + 1)]
        assert live[0] <= archived[-1] + 1
        assert live == [*range(live[0], live[-1] + 1)]
    storm.stop()
    site.catch_up()
    site.assert_equal()
    assert store.findings() == []
    assert store.archived == [*range(1, captured(site) + 1)]
    for table in ("journal", "accounts", "positions"):
        rows = {row[:1]: row for row in site.sqlite(f"SELECT * FROM {table}")}
        assert store.rebuilt(table) == rows


@pytest.mark.soak
def test_a_days_load_in_minutes(site):
    """A quarter of an hour of writes without a pause: the changelog stays small all the while, and
    so does the room that it takes in the file, of which the application's own rows take more and
    more.
    """
    storm = site.storm("--journal", "DELETE", "--timeout", 0.25, "--keys", 2_000)
    site.configure(more=BUSY)
    daemon = site.daemon()
    lengths = []

    def enough():
        lengths.append(site.sqlite("SELECT count(*) FROM _cdc_changelog")[0][0])
        return captured(site) > STORM_EVENTS

    wait_until(enough, 3_600)
    report = storm.stop()
    assert (report.errors, report.locked) == ([], 0)
    site.wait_until_equal(600, daemon)
    assert max(lengths) < MOST_LIVE
    [(pages,)] = site.sqlite("PRAGMA page_count")
    [(own,)] = site.sqlite("SELECT count(*) FROM dbstat WHERE name NOT LIKE '%cdc%'")
    [(page_bytes,)] = site.sqlite("PRAGMA page_size")
    assert (pages - own) * page_bytes < MOST_ROOM
    assert daemon.stop() == 0


def pages(site):
    return {name: site.sqlite("PRAGMA page_count", name=name)[0][0] for name in files.FILES}


@pytest.mark.soak
def test_a_day_of_the_trading_system_in_minutes(site):
    """Its own services, as fast as the disk lets them: files whose tables do not grow do not grow
    either, no changelog is long in the end, and nobody has met a lock but by the services' own."""
    make_history(site.folder)
    site.configure(*files.FILES, more=BUSY)
    daemon = site.daemon()
    sizes = []

    def enough():
        sizes.append((sum(lag.captured_seq for lag in site.lags()), pages(site)))
        return sizes[-1][0] > EVENTS_OF_A_DAY

    with Fleet.start(site.folder, pace=500) as fleet:
        wait_until(enough, 7_200)
        assert fleet.failed() == []
    reports = fleet.stop()
    assert [(r.service, r.lost, r.doubled) for r in reports if r.lost or r.doubled] == []
    print(reports, sizes[0], sizes[-1])  # noqa: T201
    site.wait_until_equal(600, daemon)
    halfway = next(found for seq, found in sizes if seq > EVENTS_OF_A_DAY / 2)
    for name in (files.PRICE_HISTORY, files.ACTIVE_TRADES):
        assert sizes[-1][1][name] < halfway[name] * 1.2 + SLACK_PAGES
    for name in files.FILES:
        daemon.wait_until(lambda name=name: len(live_events(site, name)) < 2_500, 120)
    assert daemon.stop() == 0


def live_events(site, name):
    return site.sqlite("SELECT seq FROM _cdc_changelog", name=name)
