"""The cutover: PostgreSQL becomes master with every acknowledged write, or nothing has happened."""

import pytest

from tests.support.waiting import wait_until

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT UNIQUE, price REAL);
INSERT INTO orders (item, price) VALUES ('a', 1.5), ('b', 2.5), ('c', 3.5);
DELETE FROM orders WHERE item = 'c';
CREATE TABLE notes (id INTEGER PRIMARY KEY, words TEXT);
"""
OTHER = "CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT); INSERT INTO logs VALUES (7, 'x')"

MORE = """
[cutover]
env_file = ".env"
env_switched = { DB_ENGINE = "postgresql", LOCK = "true" }
env_open = { LOCK = "false" }
env_rolled_back = { DB_ENGINE = "sqlite" }
"""


@pytest.fixture
def shop(site):
    """Two files, replicated by a running daemon, and proven."""
    site.sqlite(SHOP)
    site.sqlite(OTHER, name="other.db")
    (site.folder / ".env").write_text("DB_ENGINE=sqlite\n")
    site.configure("shop.db", "other.db", more=MORE, poll_ms=100)
    site.daemon()
    wait_until(site.caught_up)
    assert site.prove(full=True).converged
    return site


def test_the_dry_run_passes_and_changes_nothing(shop):
    found = shop.cdc("cutover", "--dry-run", "--json")
    assert found.code == 0, found
    assert found.json["passed"]
    assert shop.postgres("SELECT open FROM cdc.gate") == [(False,)]


def test_postgresql_becomes_master(shop):
    found = shop.cdc("cutover", "--yes", "--json")
    assert found.code == 0, found
    assert found.json["outcome"] == "switched"
    assert found.json["freeze_seconds"] < 2, found.json
    shop.postgres("INSERT INTO orders (item, price) VALUES ('new', 9)")
    assert shop.postgres("SELECT max(id) FROM orders") == [(4,)]
    wait_until(lambda: shop.sqlite("SELECT id FROM orders WHERE item = 'new'") == [(4,)])
    assert (shop.folder / ".env").read_text() == "DB_ENGINE=postgresql\nLOCK=false\n"
