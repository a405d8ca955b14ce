"""While PostgreSQL takes nothing: how fast a changelog grows, and how long the disk lasts."""

import re

import pytest

from cdc.errors import SourceUnavailable
from cdc.pipeline import disk
from cdc.pipeline.disk import outlooks
from cdc.pipeline.housekeeping import Housekeeping
from cdc.pipeline.progress import SourceProgress
from cdc.sqlite import surroundings
from cdc.sqlite.connection import SourceFile

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


def test_a_file_that_goes_while_it_is_looked_at_is_no_error(behind, monkeypatch):
    """Its worker says that it is gone; this must not end the daemon."""
    look = disk._outlook

    def look_and_lose(source, applied):
        found = look(source, applied)
        source.path.unlink()
        return found

    monkeypatch.setattr(disk, "_outlook", look_and_lose)
    assert outlooks(behind.config, {"shop": 0})["shop"].waiting_events == EVENTS
    with pytest.raises(SourceUnavailable, match="does not exist"):
        outlooks(behind.config, {"shop": 0})


def alarms_of(site, caplog, *names):
    """The sources that the daemon's housekeeping raises an alarm for."""
    with site.target() as target:
        Housekeeping(site.config, target, [SourceProgress(name) for name in names]).when_due()
    raised = [r for r in caplog.records if r.__dict__.get("action") == "disk_filling"]
    return {r.__dict__["fields"]["source"]: r.getMessage() for r in raised}


def test_the_alarm_is_raised_though_another_file_is_away(behind, caplog):
    behind.file("other.db").write_bytes(behind.file().read_bytes())
    behind.configure("shop.db", "other.db", disk_alarm_hours=500)
    behind.file().rename(behind.file("aside.db"))
    assert alarms_of(behind, caplog, "shop", "other").keys() == {"other"}


def test_a_file_that_goes_while_it_is_opened_does_not_end_the_daemon(behind, caplog, monkeypatch):
    configure = SourceFile._configure

    def lose(self):
        configure(self)
        self.path.rename(behind.file("aside.db"))

    monkeypatch.setattr(SourceFile, "_configure", lose)
    behind.configure(disk_alarm_hours=500)
    assert alarms_of(behind, caplog, "shop") == {}


@pytest.mark.parametrize(("hours", "alarms"), [(0, 0), (24, 0), (500, 1)])
def test_the_alarm_says_how_long_it_lasts_and_what_to_do(behind, caplog, hours, alarms):
    behind.configure(disk_alarm_hours=hours)
    raised = alarms_of(behind, caplog, "shop")
    assert len(raised) == alarms
    for message in raised.values():
        [hours_left] = re.findall(r"its disk lasts for ([\d.]+) h more", message)
        assert float(hours_left) == pytest.approx(485, rel=0.02)
        assert "400 events (0.4 MB) wait" in message
        assert "Bring PostgreSQL back" in message


def test_status_tells_it(behind):
    behind.postgres("UPDATE cdc.source SET applied_seq = 0")
    outcome = behind.cdc("status", "--json")
    [source] = outcome.json["sources"]
    assert source["disk"]["growth_mb_per_hour"] == pytest.approx(0.206, rel=0.02)
    assert source["disk"]["seconds_left"] > 0
    assert source["disk"]["shares"] == [{"table": "t", "share": 1.0}]
    shown = behind.cdc("status").out
    assert "the disk lasts for" in shown
    assert "mostly by t (100 %)" in shown
    assert "cdc uninstall --source shop --table T" in shown


def test_tables_that_make_a_changelog_grow_are_named_by_their_part(site):
    """Of the newest events, by size: so it is known which table to let go of."""
    site.sqlite("CREATE TABLE large (id INTEGER PRIMARY KEY, v TEXT)")
    site.sqlite("CREATE TABLE small (id INTEGER PRIMARY KEY, v TEXT)")
    site.configure()
    site.catch_up()
    site.sqlite("INSERT INTO large VALUES (?, ?)", *[(i, "x" * 900) for i in range(20)])
    site.sqlite("INSERT INTO small VALUES (?, ?)", *[(i, "") for i in range(60)])
    outlook = outlooks(site.config, {"shop": 0})["shop"]
    assert [name for name, _ in outlook.shares] == ["large", "small"]
    assert outlook.shares[0][1] == pytest.approx(0.91, abs=0.02)
    assert outlook.largest in {"large (90 %)", "large (91 %)"}


def test_status_tells_it_while_postgresql_is_away(behind):
    """Then it matters most: from the files alone, as if nothing in them were applied."""
    behind.configure(dsn="postgresql://127.0.0.1:1/nowhere")
    outcome = behind.cdc("status", "--json")
    assert outcome.code == 3
    assert outcome.json["target"] is None
    [source] = outcome.json["sources"]
    assert source["disk"]["growth_mb_per_hour"] == pytest.approx(0.206, rel=0.02)
    assert source["disk"]["seconds_left"] > 0
    shown = behind.cdc("status")
    assert shown.code == 3
    assert "PostgreSQL does not answer" in shown.out
    assert "the disk lasts for" in shown.out
    assert "is the server running" in shown.err


def test_letting_go_of_a_table_ends_its_growth_while_postgresql_is_away(behind):
    """What the operator may choose works without PostgreSQL, and the table comes back with it."""
    behind.configure(dsn="postgresql://127.0.0.1:1/nowhere")
    assert behind.cdc("uninstall", "--source", "shop", "--table", "t").code == 0
    behind.sqlite("INSERT INTO t VALUES (1000, 'unseen')")
    assert behind.sqlite("SELECT max(seq) FROM _cdc_changelog") == [(EVENTS,)]
    assert behind.cdc("install", "--source", "shop", "--table", "t").code == 0
    behind.configure()
    behind.catch_up()
    behind.assert_equal()
