"""A target is brought into its source's new shape, and what hangs on it stays."""

from uuid import uuid4

import pytest

LEGACY = """
CREATE TABLE trades (id INTEGER PRIMARY KEY, side TEXT NOT NULL, price REAL);
INSERT INTO trades VALUES (1, 'buy', 1.5), (2, 'sell', 2.5);
"""

HANGING_ON = """
CREATE ROLE {role};
GRANT SELECT ON trades TO {role};
CREATE VIEW sides AS SELECT id, side FROM trades;
"""

CHANGES = {
    "add column": "ALTER TABLE trades ADD COLUMN note TEXT DEFAULT 'none'",
    "add column that is required": "ALTER TABLE trades ADD COLUMN n INTEGER NOT NULL DEFAULT 7",
    "rename another column": "ALTER TABLE trades RENAME COLUMN price TO paid",
    "rename a column of the view": "ALTER TABLE trades RENAME COLUMN side TO direction",
    "rename the table": "ALTER TABLE trades RENAME TO deals",
    "columns change places": (
        "ALTER TABLE trades RENAME COLUMN side TO x;"
        " ALTER TABLE trades RENAME COLUMN price TO side;"
        " ALTER TABLE trades RENAME COLUMN x TO price"
    ),
    "rebuild that lifts NOT NULL and drops a column": (
        "CREATE TABLE new (id INTEGER PRIMARY KEY, side TEXT, at TEXT);"
        " INSERT INTO new SELECT id, side, 'now' FROM trades; DROP TABLE trades;"
        " ALTER TABLE new RENAME TO trades; INSERT INTO trades VALUES (3, NULL, 'later')"
    ),
}


@pytest.fixture
def hung(site):
    """A copied table with a grant and a view on it. All tests share the server, and its roles."""
    site.sqlite(LEGACY)
    site.configure()
    site.catch_up()
    role = f"cdc_test_{uuid4().hex}"
    site.postgres(HANGING_ON.format(role=role))
    yield site, role
    site.postgres(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("change", CHANGES)
def test_grants_and_views_survive_a_change(hung, change):
    """The target is altered, not made anew: it is the same table, with its rights and views."""
    site, role = hung
    [(before,)] = site.postgres("SELECT 'trades'::regclass::oid")
    site.sqlite(CHANGES[change])
    site.catch_up()
    site.assert_equal()
    name = "deals" if "rename the table" in change else "trades"
    assert site.postgres(f"SELECT '{name}'::regclass::oid") == [(before,)]
    assert site.postgres(f"SELECT has_table_privilege('{role}', '{name}', 'SELECT')") == [(True,)]
    assert len(site.postgres("SELECT id FROM sides")) >= 2
    site.sqlite(f"INSERT INTO {name} (id) SELECT 9 WHERE 0")


SWAP = """
ALTER TABLE trades RENAME TO aside;
ALTER TABLE fills RENAME TO trades;
ALTER TABLE aside RENAME TO fills;
INSERT INTO trades VALUES (3, 'three');
"""


def swap_trades_and_fills(site, view):
    """Two tables change names; returns their targets of before."""
    site.sqlite(LEGACY + "CREATE TABLE fills (id INTEGER PRIMARY KEY, note TEXT);")
    site.configure()
    site.catch_up()
    site.postgres(f"CREATE VIEW seen AS SELECT {view} FROM trades")
    before = site.created()
    site.sqlite(SWAP)
    return before


def test_tables_that_swap_names_stay_what_they_are(site):
    """Each target gets the other's name, and what hangs on it goes along."""
    before = swap_trades_and_fills(site, "id, price")
    site.catch_up()
    site.assert_equal()
    assert site.created() == {"trades": before["fills"], "fills": before["trades"]}
    assert site.postgres("SELECT price FROM seen ORDER BY id") == [(1.5,), (2.5,)]


def test_foreign_keys_follow_tables_that_swap_names(site):
    """A key refers to the table that it referred to, whatever that is called; and so does a child's
    own key, when it is the child that has another name.
    """
    site.sqlite(
        "CREATE TABLE books (id INTEGER PRIMARY KEY); INSERT INTO books VALUES (1);"
        "CREATE TABLE shelves (id INTEGER PRIMARY KEY); INSERT INTO shelves VALUES (2);"
        "CREATE TABLE loans (id INTEGER PRIMARY KEY, book INTEGER REFERENCES books);"
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, shelf INTEGER REFERENCES shelves);"
        "INSERT INTO loans VALUES (1, 1); INSERT INTO notes VALUES (1, 2)"
    )
    site.configure()
    site.catch_up()
    for one, other in (("books", "shelves"), ("loans", "notes")):
        site.sqlite(
            f"ALTER TABLE {one} RENAME TO x; ALTER TABLE {other} RENAME TO {one};"
            f"ALTER TABLE x RENAME TO {other}"
        )
    site.catch_up()
    site.assert_equal()
    assert site.postgres(
        "SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated"
        " FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
    ) == [("loans", "books", True), ("notes", "shelves", True)]


def test_tables_that_swap_names_do_so_together(site):
    """One that cannot follow keeps the other where it is, too, until it can."""
    before = swap_trades_and_fills(site, "id, side")
    site.configure(more='[sources.tables.fills.columns.side]\ntype = "varchar(9)"')
    outcome = site.cdc("run", "--until-caught-up")
    assert outcome.code == 1
    said = " ".join(outcome.err.split())
    assert "fills, trades: their names change together, but public.fills cannot take" in said
    assert "seen depends on column side" in said
    assert {table.name for table in site.lags()[0].stopped} == {"trades", "fills"}
    assert site.created() == before
    site.postgres("DROP VIEW seen")
    site.catch_up()
    site.assert_equal()
    assert site.created() == {"trades": before["fills"], "fills": before["trades"]}


def test_new_key_makes_the_target_anew(site):
    """Another key is another table: it is made again, where nothing depends on it."""
    site.sqlite(LEGACY)
    site.configure()
    site.catch_up()
    site.sqlite(
        "DROP TABLE trades; CREATE TABLE trades (side TEXT PRIMARY KEY, price REAL);"
        " INSERT INTO trades VALUES ('buy', 1)"
    )
    site.catch_up()
    site.assert_equal()


def test_table_rebuilt_in_several_transactions_leaves_nothing_behind(site):
    """The target of the interim table goes, when that table takes the place of the old one."""
    site.sqlite(LEGACY)
    site.configure()
    site.catch_up()
    site.sqlite("CREATE TABLE interim (id INTEGER PRIMARY KEY, side TEXT, price REAL, n INTEGER)")
    site.sqlite("INSERT INTO interim SELECT *, 0 FROM trades")
    site.catch_up()
    site.sqlite("DROP TABLE trades; ALTER TABLE interim RENAME TO trades")
    site.catch_up()
    site.assert_equal()
    assert set(site.copied_rows()) == {"trades"}
    assert site.lags()[0].stopped == ()


def test_tables_that_swap_names_though_a_target_is_gone(site):
    """Somebody has dropped it; it is made anew, and the other one has its name as before."""
    before = swap_trades_and_fills(site, "id, price")
    site.postgres("SET cdc.session = 'on'; DROP TABLE fills")
    site.catch_up()
    site.assert_equal()
    assert site.created()["fills"] == before["trades"]
