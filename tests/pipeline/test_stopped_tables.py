"""What needs a decision stops its own table, and the others go on."""

import pytest

LEGACY = """
CREATE TABLE trades (id INTEGER PRIMARY KEY, side TEXT, price REAL);
INSERT INTO trades VALUES (1, 'buy', 1.5), (2, 'sell', 2.5);
CREATE TABLE ticks (at TEXT PRIMARY KEY, price REAL);
INSERT INTO ticks VALUES ('09:30', 1);
"""

OVERRIDE = '[sources.tables.trades.columns.price]\ntype = "numeric"'

REBUILD = """
CREATE TABLE new (id INTEGER PRIMARY KEY, price REAL);
INSERT INTO new SELECT id, price FROM trades;
DROP TABLE trades;
ALTER TABLE new RENAME TO trades;
"""

REASONS = {
    "dropped": ("DROP TABLE trades", "", "is gone from"),
    "a view needs what goes": (
        REBUILD,
        "CREATE VIEW sides AS SELECT side FROM trades",
        "sides",
    ),
    "a view needs what is made anew": (
        "DROP TABLE trades; CREATE TABLE trades (side TEXT PRIMARY KEY, price REAL)",
        "CREATE VIEW sides AS SELECT side FROM trades",
        "sides",
    ),
    "no collation of SQLite's own": (
        "DROP TABLE trades; CREATE TABLE trades (side TEXT COLLATE strange PRIMARY KEY, price)",
        "",
        "only the application defines",
    ),
    "an override of a column that is gone": (
        "ALTER TABLE trades RENAME COLUMN price TO paid",
        "",
        "has no column 'price'",
    ),
}


@pytest.fixture
def legacy(site):
    site.sqlite(LEGACY)
    site.configure(more=OVERRIDE)
    return site


@pytest.mark.parametrize("reason", REASONS)
def test_table_stops_alone(legacy, reason):
    """Beside a table that waits for the operator the others go on; status says what to do."""
    daemon = legacy.daemon()
    change, first, words = REASONS[reason]
    if first:
        legacy.postgres(first)
    with legacy.connection() as db:
        db.create_collation("strange", lambda a, b: (a > b) - (a < b))
        for _ in db.execute(change):
            pass
    legacy.sqlite("INSERT INTO ticks VALUES ('09:31', 2)")
    daemon.wait_for("table_stopped", table="trades")
    daemon.wait_until(lambda: legacy.postgres("SELECT count(*) FROM ticks") == [(2,)])
    [stopped] = legacy.lags()[0].stopped
    assert stopped.name == "trades"
    assert words in stopped.reason
    assert stopped.remedy
    assert daemon.stop() == 0
    outcome = legacy.cdc("run", "--until-caught-up")
    assert outcome.code == 1
    shown = legacy.cdc("status")
    assert words in shown.out
    assert "shop  not running, 1 table stopped\n" in shown.out
    lag = legacy.cdc("lag")
    assert (lag.code, "not running, 1 table stopped" in lag.out) == (1, True)


def test_table_whose_triggers_cannot_be_made_stops_alone(legacy):
    """Its index computes with a function of the application's, which only the making finds out."""
    daemon = legacy.daemon()
    with legacy.connection() as db:
        db.create_scalar_function("strange", lambda value: value, 1, deterministic=True)
        db.execute("CREATE UNIQUE INDEX by_strange ON trades (strange(side))")
    legacy.sqlite("INSERT INTO ticks VALUES ('09:31', 2)")
    daemon.wait_for("table_stopped", table="trades")
    daemon.wait_until(lambda: legacy.postgres("SELECT count(*) FROM ticks") == [(2,)])
    assert [t.name for t in legacy.lags()[0].stopped] == ["trades"]
    assert daemon.stop() == 0


def test_table_goes_on_when_the_reason_is_gone(legacy):
    """What was passed over meanwhile is made good by a copy."""
    legacy.catch_up()
    legacy.postgres("CREATE VIEW sides AS SELECT side FROM trades")
    legacy.sqlite(REBUILD)
    legacy.catch_up()
    legacy.sqlite("UPDATE trades SET price = 9.5; INSERT INTO trades VALUES (3, 3.5)")
    legacy.catch_up()
    assert [t.name for t in legacy.lags()[0].stopped] == ["trades"]
    legacy.postgres("DROP VIEW sides")
    legacy.catch_up()
    assert legacy.lags()[0].stopped == ()
    legacy.assert_equal()


def test_gone_table_that_is_excluded_is_no_question_any_more(legacy):
    """To exclude it is the decision; what its target holds stays."""
    legacy.catch_up()
    legacy.sqlite("DROP TABLE trades")
    legacy.catch_up()
    legacy.configure(more='exclude = ["trades"]')
    assert legacy.cdc("run", "--until-caught-up").code == 0
    assert legacy.postgres("SELECT count(*) FROM trades") == [(2,)]


def test_gone_table_that_comes_back_goes_on(legacy):
    """Its target takes the rows of the new table."""
    legacy.catch_up()
    legacy.sqlite("DROP TABLE trades")
    legacy.catch_up()
    legacy.sqlite("CREATE TABLE trades (id INTEGER PRIMARY KEY, side TEXT, price REAL)")
    legacy.sqlite("INSERT INTO trades VALUES (7, 'buy', 7.5)")
    legacy.catch_up()
    assert legacy.lags()[0].stopped == ()
    legacy.assert_equal()


def test_column_is_dropped_in_two_steps(legacy):
    """A captured table refuses DROP COLUMN; one that is released does not, with the daemon up."""
    daemon = legacy.daemon()
    drop = "ALTER TABLE trades DROP COLUMN side"
    with pytest.raises(Exception, match="error in trigger"):
        legacy.sqlite(drop)
    outcome = legacy.cdc("uninstall", "--table", "trades")
    assert outcome.code == 0
    daemon.wait_for("table_stopped", table="trades")
    legacy.sqlite(drop)
    legacy.sqlite("INSERT INTO ticks VALUES ('09:31', 2)")
    daemon.wait_until(lambda: legacy.postgres("SELECT count(*) FROM ticks") == [(2,)])
    outcome = legacy.cdc("install", "--table", "trades")
    assert outcome.code == 0
    assert "captured again" in outcome.err
    daemon.wait_until(lambda: legacy.lags()[0].stopped == ())
    legacy.wait_until_equal(daemon=daemon)
    assert set(legacy.columns("trades")) == {"id", "price"}
    assert daemon.stop() == 0


def test_released_table_is_left_alone_by_every_start(legacy):
    """Neither `cdc run` nor `cdc install` takes it back unasked."""
    legacy.catch_up()
    legacy.cdc("uninstall", "--table", "trades")
    legacy.cdc("install")
    legacy.catch_up()
    triggers = "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'trades'"
    assert legacy.sqlite(triggers) == []
    assert [t.name for t in legacy.lags()[0].stopped] == ["trades"]


def test_first_start_stops_for_nothing(site):
    """Where nothing has begun yet, the operator is told at once."""
    site.sqlite(LEGACY)
    site.configure(more='[sources.tables.trades.columns.nothing]\ntype = "text"')
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 2
    assert "has no column 'nothing'" in outcome.err
