"""While PostgreSQL takes nothing: how fast a changelog grows, and how long the disk lasts."""

import re

import pytest

from cdc.pipeline.disk import outlooks
from cdc.pipeline.housekeeping import Housekeeping
from cdc.pipeline.progress import SourceProgress
from cdc.sqlite import surroundings

EVENTS = 400
HOURS = 2.0


@pytest.fixture
def behind(site, monkeypatch):
    """A source whose 400 events of about 1,000 bytes have come in over two hours, to now."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO t VALUES (?, ?)", *[(i, "x" * 1000) for i in range(EVENTS)])
    site.sqlite(
        "UPDATE _cdc_changelog SET at = julianday('now') - (? - seq) * ? / 24.0 / ?",
        (EVENTS, HOURS, EVENTS),
    )
    monkeypatch.setattr(surroundings, "free_mb", lambda path: 600)
    return site


def test_the_time_left_is_told_from_the_rate(behind):
    """200 events of 1 kB an hour, and 100 MB until the limit."""
    outlook = outlooks(behind.config, {"shop": 0})["shop"]
    assert outlook.waiting_events == EVENTS
    assert outlook.waiting_bytes == pytest.approx(EVENTS * 1_030, rel=0.02)
    assert outlook.waiting_seconds == pytest.approx(HOURS * 3600, rel=0.02)
    assert outlook.bytes_per_hour == pytest.approx(200 * 1_030, rel=0.02)
    assert outlook.seconds_left == pytest.approx(100e6 / 206_000 * 3600, rel=0.02)


def test_what_is_applied_makes_room(behind):
    """A file whose events are applied at once does not fill the disk, however many come."""
    outlook = outlooks(behind.config, {"shop": EVENTS})["shop"]
    assert (outlook.waiting_events, outlook.seconds_left) == (0, None)
    outlook = outlooks(behind.config, {"shop": EVENTS - 1})["shop"]
    assert (outlook.waiting_events, outlook.seconds_left) == (1, None)


def test_files_on_one_disk_fill_it_together(behind):
    behind.file("other.db").write_bytes(behind.file().read_bytes())
    alone = outlooks(behind.config, {"shop": 0})["shop"]
    behind.configure("shop.db", "other.db")
    found = outlooks(behind.config, {"shop": 0, "other": 0})
    assert found["shop"].seconds_left == pytest.approx(alone.seconds_left / 2, rel=0.02)
    assert found["other"].seconds_left == found["shop"].seconds_left


@pytest.mark.parametrize(("hours", "alarms"), [(0, 0), (24, 0), (500, 1)])
def test_the_alarm_says_how_long_it_lasts_and_what_to_do(behind, caplog, hours, alarms):
    behind.configure(disk_alarm_hours=hours)
    with behind.target() as target:
        Housekeeping(behind.config, target, [SourceProgress("shop")]).when_due()
    raised = [r for r in caplog.records if r.__dict__.get("action") == "disk_filling"]
    assert len(raised) == alarms
    for record in raised:
        [hours_left] = re.findall(r"its disk lasts for ([\d.]+) h more", record.getMessage())
        assert float(hours_left) == pytest.approx(485, rel=0.02)
        assert "400 events (0.4 MB) wait" in record.getMessage()
        assert "Bring PostgreSQL back" in record.getMessage()


def test_status_tells_it(behind):
    behind.postgres("UPDATE cdc.source SET applied_seq = 0")
    outcome = behind.cdc("status", "--json")
    [source] = outcome.json["sources"]
    assert source["disk"]["growth_mb_per_hour"] == pytest.approx(0.206, rel=0.02)
    assert source["disk"]["seconds_left"] > 0
    assert "the disk lasts for" in behind.cdc("status").out
