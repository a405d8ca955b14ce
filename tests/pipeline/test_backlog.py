"""A long backlog: of many events of one key only the last is read, and nothing else differs."""

import pytest

TABLES = """
CREATE TABLE plain (id INTEGER PRIMARY KEY, n INTEGER);
CREATE TABLE pairs (n INTEGER, b TEXT, a TEXT COLLATE NOCASE, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE loose (id PRIMARY KEY, n INTEGER);
CREATE TABLE keyless (n INTEGER, t TEXT);
INSERT INTO loose VALUES (0, 0), (0.5, 0), ('0', 0), (x'30', 0);
"""

EVENTS_PER_TABLE = 3000


@pytest.fixture
def behind(site):
    """The site, copied, and then written to for long without the daemon: each key many times."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    with site.connection() as db, db:
        for i in range(EVENTS_PER_TABLE):
            key = i * 7919 % 200
            db.execute("INSERT OR REPLACE INTO plain VALUES (?, ?)", (key, i))
            name = ("key" if i % 3 else "KEY") + str(key % 50)
            db.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?)", (i, str(key % 3), name))
            loose = (key, float(key), str(key), str(key).encode())[i % 4]
            db.execute("INSERT OR REPLACE INTO loose VALUES (?, ?)", (loose, i))
            db.execute("INSERT INTO keyless VALUES (?, ?)", (i, name))
            if i % 5 == 0:
                db.execute("DELETE FROM plain WHERE id = ?", ((key + 1) % 200,))
                db.execute("UPDATE pairs SET a = upper(a) WHERE n = ?", (i - 2,))
                db.execute("DELETE FROM keyless WHERE rowid % 7 = ?", (i % 7,))
    return site


def test_backlog_is_applied_exactly(behind):
    """Keys of every kind, with deletes and changes of keys among the events left out."""
    behind.catch_up()
    behind.assert_equal()
    behind.assert_position_exact()


def test_backlog_of_large_values(site):
    """What is too much for one read is read in smaller pieces."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, blob BLOB)")
    site.configure(lock_bound_ms=1)
    site.catch_up()
    with site.connection() as db, db:
        for i in range(3000):
            db.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(10000))", (i % 1500,))
    site.catch_up()
    site.assert_equal()
