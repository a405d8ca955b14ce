"""Tables and columns that are called what the queries of a proof call their own parts."""

import pytest

TABLES = ("w", "t", "r", "s", "o", "c", "p", "d", "k0", "excluded", "unnest", "old", "new")
COLUMNS = ("x0", "w0", "k0", "x1", "t", "w", "r", "s", "o", "n", "ord", "key", "row", "target")

FILLED = 2500
"""Rows of a table whose first column is in the other order than its key."""


@pytest.fixture
def named(site):
    for table in TABLES:
        site.sqlite(f"CREATE TABLE {table} (v TEXT, id INTEGER PRIMARY KEY, {table}0 TEXT)")
        site.sqlite(f"INSERT INTO {table} VALUES ('a', 1, 'b'), ('c', 2, NULL)")
    for column in COLUMNS:
        site.sqlite(f"CREATE TABLE of_{column} (v INTEGER, {column} INTEGER PRIMARY KEY)")
        site.sqlite(
            f"INSERT INTO of_{column} WITH RECURSIVE n (i) AS"
            f" (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FILLED}) SELECT -i, i FROM n"
        )
    site.configure()
    site.catch_up()
    return site


def test_such_tables_are_proven_whole_and_by_what_was_touched(named):
    assert named.prove(full=True).converged
    for table in TABLES:
        named.sqlite(f"UPDATE {table} SET v = 'z' WHERE id = 1; DELETE FROM {table} WHERE id = 2")
    for column in COLUMNS:
        named.sqlite(f"UPDATE of_{column} SET v = 7 WHERE {column} < 9")
        named.sqlite(f"DELETE FROM of_{column} WHERE {column} = 2000")
    named.catch_up()
    assert named.prove().converged
    named.assert_equal()


def test_one_wrong_row_is_found_in_each(named):
    for column in COLUMNS:
        named.postgres(
            "SET cdc.session = 'on';"
            f" UPDATE of_{column} SET v = 0 WHERE {column} IN (1, 1500, {FILLED})"
        )
    [source] = named.prove(full=True).sources
    found = {each.name: each.different for each in source.tables if each.different}
    assert found == {f"of_{column}": 3 for column in COLUMNS}


def test_they_are_replayed(named):
    done = named.cdc("replay", "--into-schema", "again", "--json")
    assert (done.code, done.json["sources"][0]["equal"]) == (0, True), done
