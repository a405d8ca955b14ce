"""The proof while PostgreSQL is master: SQLite has to hold what PostgreSQL does."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from cdc.proof import backward
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.sqlite.connection import SourceFile
from tests.support.switch import flow, switch
from tests.support.waiting import wait_until

WRITER = Path(__file__).parents[1] / "cutover" / "retrying.py"

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT UNIQUE, price REAL);
INSERT INTO orders (item, price) SELECT 'i' || value, value / 7.0 FROM generate_series(1, 600);
CREATE TABLE tags (name TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER);
INSERT INTO tags VALUES ('b', 1), ('A', 2), ('c', 3);
"""


@pytest.fixture
def shop(site):
    """A shop whose PostgreSQL is master; the epoch of the way back."""
    statements = SHOP.replace(
        "generate_series(1, 600)",
        "(WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n"
        " WHERE value < 600) SELECT value FROM n)",
    )
    site.sqlite(statements)
    site.configure()
    return site, switch(site)


def outcome(site, name: str):
    (source,) = site.prove().sources
    assert not source.problem, source.problem
    return next(table for table in source.tables if table.name == name)


def test_what_is_on_its_way_is_no_difference(shop):
    """Rows that SQLite gets between two looks of the proof are equal in the end."""
    site, epoch = shop
    site.postgres("UPDATE orders SET price = price + 1 WHERE id % 3 = 0; DELETE FROM tags")
    waits = []
    with flow(site, epoch) as way_back:

        def wait(seconds: float) -> None:
            if seconds:
                waits.append(seconds)
                way_back.drain()

        with site.target() as target:
            (source,) = prove(site.config, target, Request(), wait=wait).sources
    assert waits
    assert [(table.name, table.equal) for table in source.tables] == [
        ("orders", True),
        ("tags", True),
    ]


def test_it_is_clean_beside_a_writer_and_the_way_back(shop):
    """Rows that are on their way are no differences, however often they are written."""
    site, _ = shop
    daemon = site.start()
    daemon.wait_for("returning")
    writer = subprocess.Popen(
        [sys.executable, WRITER, site.folder / "ledger", "0", "postgres", site.dsn],
        stdin=subprocess.PIPE,
    )
    try:
        wait_until((site.folder / "ledger").exists)
        site.postgres("UPDATE orders SET price = price + 1 WHERE id % 3 = 0")
        assert outcome(site, "orders").equal
    finally:
        writer.communicate()
    assert outcome(site, "tags").equal


def test_what_the_way_back_has_lost_is_named(shop):
    """A row changed in SQLite alone, one that is missing there, and one that PostgreSQL lacks."""
    site, epoch = shop
    site.postgres("UPDATE orders SET price = 0.5 WHERE id = 9")
    with flow(site, epoch) as way_back:
        way_back.drain()
    assert outcome(site, "orders").equal
    with SourceFile(site.file(), without_triggers=True) as file:
        file.write(
            lambda: [
                file.query("UPDATE orders SET price = 99 WHERE id = 5").fetchall(),
                file.query("DELETE FROM tags WHERE name = 'b'").fetchall(),
            ]
        )
    with psycopg.connect(site.dsn) as conn:
        conn.execute("SET LOCAL cdc.session = 'on'")
        conn.execute("DELETE FROM orders WHERE id = 7")
    orders = outcome(site, "orders")
    assert (orders.different, orders.missing, orders.extra, orders.owed) == (1, 1, 0, 0), orders
    assert {each.key for each in orders.examples} == {("5",), ("7",)}
    tags = outcome(site, "tags")
    assert (tags.different, tags.missing, tags.extra) == (0, 0, 1)
    refused = site.cdc("verify", "--repair")
    assert refused.code == 3
    assert "PostgreSQL is the master" in refused.err


def test_what_nobody_brings_back_is_not_called_equal(shop, monkeypatch):
    monkeypatch.setattr(backward, "PATIENCE_SECONDS", 0.2)
    site, _ = shop
    site.postgres("UPDATE orders SET price = 0.5 WHERE id = 9")
    orders = outcome(site, "orders")
    assert (orders.owed, orders.differences, orders.equal) == (1, 0, False)
