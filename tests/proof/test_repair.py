"""Rows that differ are written again, by the daemon or in its place, and proven again."""

import psycopg
import pytest

TABLES = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL);"
    "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < 2000) SELECT i, 'name ' || i, i / 7.0 FROM n;"
    "CREATE TABLE u (word TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);"
    "INSERT INTO u SELECT 'Word ' || id, id FROM t WHERE id <= 500"
)

FAULTS = (
    "DELETE FROM t WHERE id IN (5, 1999)",
    "UPDATE t SET price = price + 1e-9 WHERE id BETWEEN 100 AND 400",
    "INSERT INTO t VALUES (-7, 'extra', 1), (99999, 'more', 2)",
    # Rows that have each other's unique values.
    "UPDATE t SET name = 'x' WHERE id = 10",
    "UPDATE t SET name = 'name 10' WHERE id = 11",
    "UPDATE t SET name = 'name 11' WHERE id = 10",
    "UPDATE u SET n = 0 WHERE word = 'Word 9'",
    "DELETE FROM u WHERE word = 'Word 8'",
    "INSERT INTO u VALUES ('nobody', 1)",
)


def plant(site):
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        for fault in FAULTS:
            conn.execute(fault.encode())


@pytest.mark.parametrize("with_daemon", [True, False])
def test_what_differs_is_mended_and_reported(site, with_daemon):
    """Missing, extra and different rows: the report tells each, and the second proof holds."""
    site.sqlite(TABLES)
    site.configure()
    if with_daemon:
        site.daemon()
    else:
        site.catch_up()
    plant(site)
    done = site.cdc("verify", "--full", "--repair", "--json")
    assert done.code == 0, done
    [before] = done.json["before"]["sources"]
    counts = {t["table"]: (t["missing"], t["extra"], t["different"]) for t in before["tables"]}
    assert counts == {"t": (2, 2, 303), "u": (1, 1, 1)}
    [after] = done.json["sources"]
    assert {t["table"]: t["repaired"] for t in after["tables"]} == {"t": 307, "u": 3}
    site.assert_equal()


def test_a_row_written_without_an_event_is_proven_again(site):
    """What was proven before a repair does not stand for the rows that the repair has written."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    assert site.prove(full=True).converged
    plant(site)
    assert site.cdc("verify", "--repair", "--full", "--table", "t").code == 0
    marks = site.postgres("SELECT count(*) FROM cdc.unproven")[0][0]
    assert marks == 0  # the proof behind the repair has compared them
    plant_again = "UPDATE t SET price = -1 WHERE id = 100"
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute(plant_again)
    assert not site.prove(full=True).converged


def test_rows_tried_again_out_of_the_quarantine_are_marked(site):
    """They are written without an event: the next proof must look at them."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 2)")
    site.configure(on_error="quarantine")
    site.catch_up()
    site.sqlite("UPDATE t SET n = 'word' WHERE id = 1")
    site.catch_up()
    [table] = site.prove().sources[0].tables
    assert (table.equal, table.quarantined) == (True, 1)
    assert site.cdc("quarantine", "retry", "--all").code == 1
    assert site.postgres("SELECT name FROM cdc.unproven") == [("t",)]
    assert site.prove().converged
    assert site.postgres("SELECT name FROM cdc.unproven") == []
