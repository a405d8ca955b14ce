"""The drift watch finds by itself what changed behind the replicator's back."""

import threading

import psycopg
import pytest

from cdc.proof.runs import ProofBusy, alone, another_waits
from cdc.proof.watch import DriftWatch
from cdc.stop import Stop
from tests.support.waiting import wait_until

TABLES = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER);"
    "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < 5000) SELECT i, i FROM n"
)
EVERY_PASS = "[verify]\nwatch_hours = 0.0001\nwatch_seconds = 0.2\n"
"""Every row is compared in each pass."""


def tamper(site, statement):
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute(statement.encode())


def drift(site):
    [source] = site.cdc("status", "--json").json["sources"]
    return [(d["name"], d["key"], d["what"]) for d in source["drift"]]


@pytest.fixture
def drifted(site):
    """A site whose daemon has raised the alarm: a row of its table differs."""
    site.sqlite(TABLES)
    site.configure()
    site.config_path.write_text(site.config_path.read_text() + EVERY_PASS, encoding="utf-8")
    daemon = site.daemon()
    assert drift(site) == []
    tamper(site, "UPDATE t SET n = -1 WHERE id = 7")
    daemon.wait_for("drift")
    assert drift(site) == [("t", "7", "different")]
    return site


def test_the_daemon_takes_its_alarm_back(drifted):
    """A row that goes on differing is in the log and in the status, until it is equal again."""
    shown = drifted.cdc("status").out
    assert "1 rows differ" in shown
    assert drifted.cdc("verify", "--repair", "--full").code == 0
    wait_until(lambda: drift(drifted) == [])
    assert drifted.postgres("SELECT name, key FROM cdc.drift WHERE gone_at IS NOT NULL") == [
        ("t", "7")
    ]


def test_no_alarm_is_left_under_a_name_that_is_gone(drifted):
    """The copy under the new name has made the row equal, and no pass looks at the old one."""
    drifted.sqlite("ALTER TABLE t RENAME TO u")
    drifted.wait_until_equal()
    assert drift(drifted) == []


def test_each_pass_compares_a_share_of_the_oldest_ranges(site):
    """What was proven longest ago comes first, and after some passes all has had its turn."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    site.config_path.write_text(
        site.config_path.read_text() + "[verify]\nwatch_hours = 1\nwatch_seconds = 900\n"
    )
    with site.target() as target:
        watch = DriftWatch(site.config, target, Stop())
        [source] = site.config.sources
        [table] = watch.look(source).tables
        assert table.rows == 5000  # nothing was proven before
        seen = []
        for _ in range(4):
            first = site.postgres("SELECT min(proven_at) FROM cdc.proven_range")
            [table] = watch.look(source).tables
            assert 1250 <= table.rows < 5000
            assert site.postgres("SELECT min(proven_at) FROM cdc.proven_range") > first
            seen.append(table.rows)
        assert sum(seen) >= 5000


def test_the_watch_makes_way_for_a_proof_that_waits(site, monkeypatch):
    """An operator does not wait for the daemon's unhurried pass: what it has proven is kept."""
    monkeypatch.setattr("cdc.proof.tables.SAVE_SECONDS", 0.0)
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    ends = []
    with site.target() as target, target.lease() as conn:
        stop = Stop()
        watch = DriftWatch(site.config, target, stop)
        [source] = site.config.sources
        # While the watch rests behind its first range, somebody comes with a proof of their own.
        other = threading.Thread(target=lambda: ends.append(site.prove(full=True)))

        def rest(_seconds):
            if not other.ident:
                other.start()
                wait_until(lambda: another_waits(conn))
            return False

        monkeypatch.setattr(stop, "wait", rest)
        outcome = watch.look(source)
        other.join()
    assert "waits" in outcome.problem
    assert ends[0].converged
    [(kept,)] = site.postgres("SELECT count(*) FROM cdc.proven_range")
    assert kept > 0


def test_a_long_rest_of_the_watch_is_cut_short_for_a_proof_that_waits(site, monkeypatch):
    """It rests in proportion to its work, for a minute and more on a busy machine."""
    monkeypatch.setattr("cdc.proof.watch.SHARE", 1e-6)
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    ends, rests = [], []
    with site.target() as target, target.lease() as conn:
        stop = Stop()
        [source] = site.config.sources
        other = threading.Thread(target=lambda: ends.append(site.prove(full=True)))

        def rest(seconds):
            rests.append(seconds)
            if not other.ident:
                other.start()
                wait_until(lambda: another_waits(conn))
            return False

        monkeypatch.setattr(stop, "wait", rest)
        outcome = DriftWatch(site.config, target, stop).look(source)
        other.join()
    assert "waits" in outcome.problem
    assert ends[0].converged
    assert max(rests) < 2.0


def test_the_watch_goes_on_whatever_it_meets(site, monkeypatch, caplog):
    """What nobody has foreseen is told in the log, and the next pass is done all the same."""
    site.sqlite(TABLES)
    site.configure()
    site.config_path.write_text(site.config_path.read_text() + EVERY_PASS, encoding="utf-8")
    passes, stop = [], Stop()

    def look(self, source):
        passes.append(source.name)
        if len(passes) == 2:
            stop.ask()
        raise RuntimeError("a defect")

    monkeypatch.setattr(DriftWatch, "look", look)
    with site.target() as target:
        DriftWatch(site.config, target, stop).run()
    assert passes == ["shop", "shop"]
    assert caplog.text.count("The drift watch of shop failed; it looks again in") == 2
    assert "a defect" in caplog.text


def test_one_proof_at_a_time(site):
    """Whoever has no patience is told so."""
    with site.target() as target, target.lease() as one, target.lease() as other:
        with alone(one, patience=0):
            assert not another_waits(one)
            with pytest.raises(ProofBusy, match="under way"), alone(other, patience=0.1):
                raise AssertionError
        with alone(other, patience=0):
            pass
