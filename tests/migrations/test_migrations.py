"""Real migrations of Django and of Alembic, of a live file that another process writes to."""

import pytest

DJANGO = ("django_site.py", "ledger_")
ALEMBIC = ("alembic_site", "shop_")

DJANGO_STEPS = (
    "m02_add_fields",
    "m03_rename_and_alter",
    "m04_fill",
    "m05_constraints",
    "m06_rename_models",
)
ALEMBIC_STEPS = ("r2", "r3", "r4", "r5")


def migrate_while_it_writes(live, first, steps):
    """Migrate to `first`, start the daemon and the writer, then go through the other steps."""
    live.migrate(first)
    live.site.configure()
    daemon = live.site.daemon()
    live.start_writer()
    for step in steps:
        live.let_it_write(daemon)
        live.migrate(step)
    live.let_it_write(daemon)
    return daemon


@pytest.mark.parametrize("live", [DJANGO], indirect=True, ids=["django"])
def test_django_migrates_one_step_after_another(live):
    """Fields and models are added, altered, renamed and filled; nothing is lost, nothing stops."""
    daemon = migrate_while_it_writes(live, "m01_initial", DJANGO_STEPS)
    live.stop_writer()
    live.site.wait_until_equal(daemon=daemon)
    assert daemon.stop() == 0
    assert "memo" in live.site.columns("ledger_posting")


@pytest.mark.parametrize("live", [DJANGO], indirect=True, ids=["django"])
def test_django_migrates_all_at_once(live):
    """Many changes in a row come out as one. A table that was rebuilt and renamed in one go may
    look like one that is gone and one that is new: that waits for a decision, no row is missing.
    """
    daemon = migrate_while_it_writes(live, "m01_initial", DJANGO_STEPS[-1:])
    live.stop_writer()
    daemon.wait_until(lambda: live.site.lags()[0].lag_events == 0 and not live.site.differences())
    assert {t.name for t in live.site.lags()[0].stopped} <= {"ledger_entry"}
    assert daemon.stop() == 0


@pytest.mark.parametrize("live", [ALEMBIC], indirect=True, ids=["alembic"])
def test_alembic_migrates_one_step_after_another(live):
    """Alembic rebuilds a table in several transactions, and the daemon may see each of them."""
    daemon = migrate_while_it_writes(live, "r1", ALEMBIC_STEPS)
    live.stop_writer()
    live.site.wait_until_equal(daemon=daemon)
    assert daemon.stop() == 0
    assert {"article", "remark"} <= set(live.site.columns("shop_orders"))


@pytest.mark.parametrize("live", [ALEMBIC], indirect=True, ids=["alembic"])
def test_alembic_migrates_all_at_once(live):
    """Many changes in a row come out as one."""
    daemon = migrate_while_it_writes(live, "r1", ALEMBIC_STEPS[-1:])
    live.stop_writer()
    live.site.wait_until_equal(daemon=daemon)
    assert daemon.stop() == 0


@pytest.mark.parametrize("live", [ALEMBIC], indirect=True, ids=["alembic"])
def test_alembic_tightens_a_column(live):
    """NOT NULL, DEFAULT and CHECK that a rebuild adds are there behind the copy, for all rows."""
    live.migrate("r5")
    live.site.sqlite("INSERT INTO shop_orders (article, quantity) VALUES ('a', NULL), ('b', 2)")
    live.site.configure()
    live.site.catch_up()
    made = live.site.created()["shop_orders"]
    live.migrate("r6")
    live.site.catch_up()
    live.site.assert_equal()
    assert live.site.created()["shop_orders"] == made
    assert live.site.postgres(
        "SELECT a.attnotnull, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a"
        " JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attrelid = 'shop_orders'::regclass AND a.attname = 'quantity'"
    ) == [(True, "5")]
    assert live.site.postgres(
        "SELECT conname, convalidated FROM pg_constraint"
        " WHERE contype = 'c' AND conrelid = 'shop_orders'::regclass"
    ) == [("some", True)]


@pytest.mark.parametrize("live", [DJANGO], indirect=True, ids=["django"])
def test_django_drops_a_column_once_its_table_is_let_go(live):
    """SQLite refuses DROP COLUMN under a trigger: one step lets the table go, another takes it
    back. A table that a migration drops keeps its rows in the target.
    """
    live.migrate(DJANGO_STEPS[-1])
    live.site.configure()
    live.site.catch_up()
    live.migrate("m08_remove_field", fails="after drop column")
    assert live.site.cdc("uninstall", "--table", "ledger_posting").code == 0
    live.migrate("m08_remove_field")
    assert live.site.cdc("install", "--table", "ledger_posting").code == 0
    live.site.catch_up()
    live.site.assert_equal()
    assert "draft" not in live.site.columns("ledger_posting")
    assert ("ledger_scratch",) not in live.site.sqlite("SELECT name FROM sqlite_schema")
    assert live.site.postgres("SELECT count(*) FROM ledger_scratch") == [(0,)]
