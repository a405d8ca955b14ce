"""What changes beneath a running daemon, or behind its back, is noticed and made good."""

import apsw
import pytest

ROWS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
"""

SHOP = f"""
CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL);
INSERT INTO orders {ROWS} SELECT i, 'item ' || i, i / 8.0 FROM n;
CREATE TABLE visits (page TEXT, at REAL);
INSERT INTO visits {ROWS} SELECT 'page ' || i, i FROM n;
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
INSERT INTO staff {ROWS} SELECT i, 'name ' || i FROM n;
"""

REBUILD = """
BEGIN;
CREATE TABLE new_orders (
    id INTEGER PRIMARY KEY, price REAL, item TEXT NOT NULL DEFAULT '?', sold INTEGER DEFAULT 0
);
INSERT INTO new_orders (id, item, price) SELECT id, coalesce(item, '?'), price FROM orders;
DROP TABLE orders;
ALTER TABLE new_orders RENAME TO orders;
COMMIT;
"""


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    site.configure()
    return site


CHANGES = {
    "new table": "CREATE TABLE tags (tag TEXT PRIMARY KEY); INSERT INTO tags VALUES ('a'), ('b')",
    "add column": "ALTER TABLE orders ADD COLUMN note TEXT DEFAULT 'none';"
    "UPDATE orders SET note = 'late' WHERE id % 7 = 0",
    "rename column": "ALTER TABLE orders RENAME COLUMN item TO article;"
    "UPDATE orders SET article = 'renamed' WHERE id % 7 = 0",
    "rename table": "ALTER TABLE orders RENAME TO sales; DELETE FROM sales WHERE id % 7 = 0",
    "name taken over": "ALTER TABLE orders RENAME TO sales; CREATE TABLE orders (x PRIMARY KEY);"
    "INSERT INTO orders VALUES ('a'); DELETE FROM sales WHERE id % 7 = 0",
    "names swapped": "ALTER TABLE orders RENAME TO o; ALTER TABLE staff RENAME TO orders;"
    "ALTER TABLE o RENAME TO staff; DELETE FROM staff WHERE id % 7 = 0",
    "names moved on": "ALTER TABLE visits RENAME TO visits_2; ALTER TABLE staff RENAME TO visits;"
    "ALTER TABLE orders RENAME TO staff; DELETE FROM staff WHERE id % 7 = 0",
    "rebuild": REBUILD + "UPDATE orders SET sold = 1 WHERE id % 7 = 0",
    "new unique index": "CREATE UNIQUE INDEX by_item ON orders (item);"
    "REPLACE INTO orders VALUES (9999, 'item 7', 1)",
    "dropped index": "CREATE UNIQUE INDEX i ON orders (price); DROP INDEX i;"
    "UPDATE orders SET price = 1",
    "vacuum": "DELETE FROM visits WHERE rowid % 3; VACUUM; DELETE FROM visits WHERE rowid = 5",
    "key changed": "DROP TABLE staff; CREATE TABLE staff (id, name TEXT PRIMARY KEY);"
    "INSERT INTO staff VALUES (1, 'one'), (1.5, 'two'), ('x', 'three')",
    "trigger dropped": "DROP TRIGGER {trigger}; DELETE FROM orders WHERE id % 7 = 0",
    "new trigger": "CREATE TRIGGER t AFTER INSERT ON visits BEGIN"
    " UPDATE staff SET name = name || '!' WHERE id = 1; END; INSERT INTO visits VALUES ('x', 1)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_the_schema_under_a_running_daemon(shop, change):
    """Whatever DDL the application runs, both sides are equal again soon after."""
    daemon = shop.daemon()
    shop.sqlite(CHANGES[change].format(trigger=deletion_trigger(shop)))
    shop.wait_until_equal(daemon=daemon)
    assert daemon.stop() == 0
    shop.assert_position_exact()


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_the_schema_while_no_daemon_runs(shop, change):
    """The next start finds out what has changed meanwhile."""
    shop.catch_up()
    shop.sqlite(CHANGES[change].format(trigger=deletion_trigger(shop)))
    shop.catch_up()
    shop.assert_equal()
    shop.assert_position_exact()


RENAMED_THE_OLD_WAY = (
    "PRAGMA legacy_alter_table = ON; ALTER TABLE orders RENAME TO sales;"
    "ALTER TABLE staff RENAME TO people; PRAGMA legacy_alter_table = OFF"
)
WRITES = "DELETE FROM sales WHERE id % 7 = 0; REPLACE INTO people VALUES (9999, 'name 7')"


def can_write(shop):
    """Whether the triggers compile; without a write that would be part of what is looked at."""
    try:
        shop.sqlite("EXPLAIN DELETE FROM sales; EXPLAIN REPLACE INTO people VALUES (1, 'x')")
    except apsw.SQLError:
        return False
    return True


def test_table_renamed_the_old_way_is_mended_by_the_daemon(shop):
    """The triggers keep its old name, and no write compiles; the daemon mends that unasked."""
    daemon = shop.daemon()
    shop.sqlite(RENAMED_THE_OLD_WAY)
    daemon.wait_until(lambda: can_write(shop))
    shop.sqlite(WRITES)
    shop.wait_until_equal(daemon=daemon)
    assert {"sales", "people"} <= shop.created().keys()


@pytest.mark.parametrize("command", ["run --until-caught-up", "install"])
def test_table_renamed_the_old_way_is_mended_by_a_command(shop, command):
    """Without a daemon the next start does it."""
    shop.catch_up()
    shop.sqlite(RENAMED_THE_OLD_WAY)
    assert not can_write(shop)
    assert shop.cdc(*command.split()).code == 0
    assert can_write(shop)
    shop.sqlite(WRITES)
    shop.catch_up()
    shop.assert_equal()


def test_changes_of_the_schema_beside_writes(shop):
    """A rebuild in the middle of heavy writes loses none of them."""
    daemon = shop.daemon()
    storm = shop.storm("--journal", "WAL")
    daemon.wait_until(lambda: shop.lags()[0].applied_seq > 100)
    shop.sqlite(REBUILD)
    shop.sqlite("ALTER TABLE accounts ADD COLUMN note TEXT DEFAULT 'none'")
    assert storm.running
    before = shop.lags()[0].applied_seq
    daemon.wait_until(lambda: shop.lags()[0].applied_seq > before + 100)
    storm.stop()
    shop.wait_until_equal(daemon=daemon)


def rebuild_step_by_step(shop, daemon, working):
    """Rebuild orders by a table `working`, in transactions of their own; the daemon sees it."""
    shop.sqlite(f"CREATE TABLE {working} (id INTEGER PRIMARY KEY, item TEXT, price REAL, sold)")
    see(shop, daemon)
    shop.sqlite(f"INSERT INTO {working} SELECT id, item, price, 0 FROM orders; DROP TABLE orders")
    see(shop, daemon)
    shop.sqlite(f"ALTER TABLE {working} RENAME TO orders; UPDATE orders SET sold = 1 WHERE id > 9")


def see(shop, daemon):
    """Have the daemon look at the schema as it is now: a table made behind it tells."""
    sign = f"sign_{len(shop.created())}"
    shop.sqlite(f"CREATE TABLE {sign} (id INTEGER PRIMARY KEY)")
    daemon.wait_until(lambda: sign in shop.created())


def test_rebuild_whose_every_step_is_seen(shop):
    """The working table's target goes with it, since it lives on as the table rebuilt."""
    daemon = shop.daemon()
    rebuild_step_by_step(shop, daemon, "new_orders")
    shop.wait_until_equal(daemon=daemon)
    assert shop.lags()[0].stopped == ()
    assert "new_orders" not in shop.created()


def test_rebuilds_by_alembic_in_a_row_leave_nothing(shop):
    """Its working table is not captured: after the next rebuild nothing tells what it became."""
    daemon = shop.daemon()
    rebuild_step_by_step(shop, daemon, "_alembic_tmp_orders")
    shop.sqlite(REBUILD.replace("new_orders", "_alembic_tmp_orders"))
    shop.wait_until_equal(daemon=daemon)
    assert shop.lags()[0].stopped == ()
    assert "_alembic_tmp_orders" not in shop.created()


def test_trigger_that_went_missing_is_told_and_made_good(shop):
    """A trigger dropped behind the daemon's back is a gap: a warning, and the table anew."""
    shop.catch_up()
    created = shop.created()
    shop.sqlite(f"DROP TRIGGER {deletion_trigger(shop)}; DELETE FROM orders WHERE id > 400")
    outcome = shop.cdc("run", "--until-caught-up")
    assert outcome.code == 0
    assert "The capture of table orders had a gap" in outcome.err
    shop.assert_equal()
    # The rows stayed in place meanwhile; only what differed was mended.
    assert shop.created() == created


def test_altered_trigger_is_a_gap_too(shop):
    """A trigger with another text than the one installed is not trusted."""
    shop.catch_up()
    trigger = deletion_trigger(shop)
    shop.sqlite(
        f"DROP TRIGGER {trigger};"
        f"CREATE TRIGGER {trigger} AFTER DELETE ON orders BEGIN SELECT 1; END;"
        "DELETE FROM orders WHERE id > 400"
    )
    outcome = shop.cdc("run", "--until-caught-up")
    assert "The capture of table orders had a gap" in outcome.err
    shop.assert_equal()


def test_unchanged_schema_copies_nothing_again(shop):
    """A table that nothing has happened to is not copied again because another one changed."""
    shop.catch_up()
    created = shop.created()
    shop.sqlite("CREATE TABLE tags (tag TEXT PRIMARY KEY)")
    outcome = shop.cdc("run", "--until-caught-up")
    assert "Copied table orders" not in outcome.err
    assert shop.created()["orders"] == created["orders"]


def deletion_trigger(shop):
    """The name of the trigger that logs deletions from orders, where it is there."""
    found = shop.sqlite(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'orders'"
        " AND sql LIKE '%AFTER DELETE%'"
    )
    return found[0][0]
