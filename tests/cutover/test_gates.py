"""The gates of a cutover find what they are there to find, and say what."""

import psycopg
import pytest

from cdc.crossing.pairs import pairs
from cdc.cutover import gates
from cdc.pipeline import canary
from cdc.postgres import trial
from cdc.postgres.queue import backlog
from cdc.sqlite.connection import SourceFile
from tests.support.waiting import wait_until

SHOP = """
CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, price REAL,
                    code NUMERIC, at TEXT);
INSERT INTO items VALUES (1, 'a', 1.5, NULL, NULL), (2, 'b', 2.123456789, 7, NULL);
CREATE TABLE visits (page TEXT);
INSERT INTO visits VALUES ('home'), ('shop');
CREATE TABLE pairs (a TEXT, b INTEGER, c BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO pairs VALUES ('x', 1, x'00ff'), ('y', 2, NULL);
"""

COLUMNS = """
[sources.tables.items.columns]
price = { type = "numeric(20,6)", on_misfit = "round" }
code = { type = "text", on_misfit = "null" }
at = { type = "timestamptz", timezone = "America/New_York" }
"""


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    site.configure(more=COLUMNS, poll_ms=100)
    site.running = site.daemon()
    wait_until(site.caught_up)
    return site


def look(site):
    with site.target() as target:
        return {gate.name: gate for gate in gates.look(site.config, target)}


def contents(site):
    rows = {t: site.sqlite(f"SELECT * FROM {t}") for t in ("items", "visits", "pairs")}
    events = site.sqlite("SELECT count(*), max(seq) FROM _cdc_changelog")
    with site.target() as target, target.lease() as conn:
        return rows, events, backlog(conn, "shop").entries, site.lags()[0].applied_seq


def test_the_way_back_is_tried_and_leaves_nothing_behind(shop):
    """A row comes back for good and is taken away; those of real tables are rolled back."""
    before = contents(shop)
    gate = look(shop)["canary"]
    assert gate.passed, gate
    assert "6 rows of 3 tables" in gate.evidence[0]
    assert contents(shop) == before
    assert shop.sqlite("SELECT * FROM _cdc_canary") == []
    assert shop.postgres("SELECT * FROM cdc.canary") == []
    shop.sqlite("INSERT INTO items (name) VALUES ('c')")
    wait_until(shop.caught_up)
    assert shop.postgres("SELECT max(id) FROM items") == [(3,)]
    assert shop.running.stop() == 0
    assert not shop.running.said("halted")


def test_what_could_not_come_back_fails_the_canary_and_is_named(shop):
    """'007' is a text to PostgreSQL, and to a column of this affinity the number 7."""
    shop.postgres("BEGIN; SET LOCAL cdc.session = 'on'; UPDATE items SET code = '007'; COMMIT")
    shop.postgres("DROP TRIGGER _cdc_queue ON pairs")
    found = look(shop)
    assert not found["canary"].passed
    text = "\n".join(found["canary"].evidence)
    assert "items, key [1], column code: SQLite would hold another value" in text
    assert "pairs, key of any row: what others write is not queued" in text
    assert "came back" not in text
    assert not found["way back"].passed
    assert shop.sqlite("SELECT code FROM items ORDER BY id") == [(None,), (7,)]


def test_a_trial_of_the_way_back_waits_for_its_turn(shop, monkeypatch):
    """The gate is one for all sources: while another one's is tried, it is held."""
    monkeypatch.setattr(trial, "GATE_SECONDS", 0.05)
    touch, tried = trial.touch, []

    with psycopg.connect(shop.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(cdc.gate_lock())")

        def counted(*arguments):
            tried.append(1)
            if len(tried) == 3:
                other.rollback()
            return touch(*arguments)

        monkeypatch.setattr(trial, "touch", counted)
        [source] = shop.config.sources
        with shop.target() as target, target.lease() as conn, SourceFile(source.path) as file:
            tables = [pair.mapped for pair in pairs(conn, file, "shop")]
            _, touched = canary._touch(target, "shop", tables)
    assert (len(tried), sum(touched.values())) == (3, 6)


def test_what_is_found_around_is_named(shop):
    """Limits of the way back, the server's disk, a configuration that the daemon does not know."""
    found = look(shop)
    assert found["limits"].evidence[:3] == (
        "shop.items.price: numbers of more than 15 digits",
        "shop.items.code: texts that read as numbers, such as 007",
        "shop.items.at: an hour that the clocks of America/New_York show twice",
    )
    assert any("and its disk" in line for line in found["disk"].evidence)
    assert found["configuration"].passed
    shop.configure(more=COLUMNS.replace("null", "quarantine"), poll_ms=100)
    gate = look(shop)["configuration"]
    assert not gate.passed
    assert "sources.tables.items.columns.code.on_misfit was changed" in gate.evidence[0]
