"""The copy: exact whatever is written beside it, and resumed where it was cut off."""

import signal

import pytest

from tests.support.held_copy import held_copy

BIG = """
CREATE TABLE big (id INTEGER PRIMARY KEY, a TEXT, b REAL, n INTEGER);
INSERT INTO big
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
SELECT i * 10, 'row ' || i, i / 7.0, 0 FROM n;
CREATE TABLE words (word TEXT COLLATE NOCASE, lang TEXT, n INTEGER, PRIMARY KEY (word, lang));
INSERT INTO words
SELECT 'Word ' || id, substr('EnDeFr', id % 3 * 2 + 1, 2), id FROM big LIMIT 20000;
CREATE TABLE bare (x, y);
INSERT INTO bare SELECT id, a FROM big LIMIT 20000;
"""

SMALL_CHUNKS = {"lock_bound_ms": 1}
"""Makes many chunks of a small table, so that there is time to interfere."""


@pytest.fixture
def copying(site):
    """The site with tables that take a while to copy."""
    site.sqlite(BIG)
    site.configure(**SMALL_CHUNKS)
    return site


FORMS = """
[sources.tables.big.columns]
id.type = "numeric"
a.type = "varchar(20)"
b.type = "numeric"
[sources.tables.words.columns]
word.type = "varchar(20)"
lang.type = "varchar(20)"
n.type = "integer"
"""
"""Most columns get another form."""


@pytest.fixture(params=["alone", "helped"])
def exact(copying, request):
    """The same, and once more so that it is worth a helper."""
    if request.param == "helped":
        copying.enlarge()
        copying.configure(**SMALL_CHUNKS, more=FORMS)
    return copying


def connections(site):
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'cdc'"
    )
    return site.postgres(query)[0][0]


def test_copy_is_exact_beside_heavy_writes(exact):
    """Keys that change, rows that come and go, before the copy reaches them and after."""
    copying = exact
    daemon = copying.start()
    step = 0
    while not daemon.said("tailing"):
        assert daemon.running, daemon.text
        step += 1
        copying.sqlite(
            "BEGIN IMMEDIATE;"
            # Rows move from the end to the beginning, from the beginning to the end, and stay.
            f"UPDATE big SET id = -id, n = n + 1 WHERE id BETWEEN {600000 - step * 500} AND 700000;"
            f"UPDATE big SET id = 700000 + id, n = n + 1 WHERE id BETWEEN 0 AND {step * 300};"
            f"UPDATE big SET n = n + 1 WHERE id % 1000 = {step % 100 * 10};"
            f"DELETE FROM big WHERE id % 970 = {step % 97 * 10};"
            f"INSERT INTO big SELECT id + {step % 9 + 1}, a, b, -n FROM big WHERE id % 990 = 0"
            f"  AND id + {step % 9 + 1} NOT IN (SELECT id FROM big);"
            f"UPDATE OR REPLACE words SET word = upper(word) WHERE n % 50 = {step % 5 * 10};"
            f"DELETE FROM words WHERE n % 600 = {step % 60 * 10};"
            f"DELETE FROM bare WHERE rowid % 200 = {step % 200};"
            f"INSERT INTO bare SELECT y, x FROM bare WHERE rowid % 700 = {step % 700};"
            "COMMIT"
        )
    assert step > 1
    copying.wait_until_equal(daemon=daemon)
    assert daemon.stop() == 0
    copying.assert_position_exact()


def test_kill_during_the_copy_resumes_at_the_last_chunk(exact):
    """Progress is a row in the target: no chunk is copied twice, none is left out."""
    copying = exact
    with held_copy(copying) as daemon:
        daemon.kill()
    before, created = copying.copied_rows(), copying.created()
    # Whoever reads is told that the copy is not complete.
    assert copying.cdc("lag").code == 1
    copying.sqlite("UPDATE big SET id = id + 5 WHERE id % 100 = 0; DELETE FROM words WHERE n < 900")
    copying.catch_up()
    copying.assert_equal()
    assert copying.created() == created
    done = [name for name, rows in before.items() if rows]
    assert done
    # Had a chunk been copied again, more rows would have been copied than the table ever had.
    assert copying.copied_rows()["bare"] == 20_000
    assert all(copying.copied_rows()[name] >= before[name] for name in done)


def test_stop_during_the_copy_is_quick_and_loses_nothing(copying):
    """SIGTERM ends the copy at its next chunk."""
    with held_copy(copying) as daemon:
        daemon.send(signal.SIGTERM)
    assert daemon.ended(10) == 0
    assert not all(lag.copied for lag in copying.lags())
    copying.catch_up()
    copying.assert_equal()
    assert copying.copied_rows()["big"] == 60_000


def test_backlog_larger_than_a_batch_is_applied_in_several(site):
    """A batch has a bound; the end of a transaction that spans several is a boundary, no other."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    site.configure(batch_events=100)
    site.catch_up()
    with site.connection() as db, db:
        db.executemany("INSERT INTO t VALUES (?, ?)", ((i, i) for i in range(1050)))
    site.catch_up()
    site.assert_equal()
    assert site.postgres("SELECT max(seq), count(*) FROM cdc.boundary") == [(1050, 1)]


def test_values_swapped_across_batches_pass(site):
    """A unique value that moves between rows never makes PostgreSQL refuse a batch."""
    site.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
    )
    site.configure(batch_events=1)
    site.catch_up()
    for _ in range(5):
        site.sqlite(
            "BEGIN; UPDATE t SET u = 'x' WHERE id = 1; UPDATE t SET u = 'a' WHERE id = 2;"
            "UPDATE t SET u = 'b' WHERE id = 1; INSERT OR REPLACE INTO t VALUES (4, 'c');"
            "UPDATE t SET id = 3 WHERE id = 4; COMMIT;"
            "UPDATE t SET u = 'z' WHERE id = 1; UPDATE t SET u = 'b' WHERE id = 2;"
            "UPDATE t SET u = 'a' WHERE id = 1"
        )
    site.catch_up()
    site.assert_equal()


def test_more_sources_than_connections(site):
    """A few connections to PostgreSQL are enough for any number of sources."""
    names = [f"{number}.db" for number in range(6)]
    for name in names:
        site.sqlite(BIG.replace("60000", "1000"), name=name)
    site.configure(*names, own_schemas=True, max_connections=4)
    daemon = site.daemon()
    storms = [site.storm("--seed", name, "--journal", "WAL", name=name) for name in names[:2]]
    daemon.wait_until(lambda: all(lag.applied_seq > 300 for lag in site.lags()[:2]))
    # One more looks at the health, whatever the others are busy with. Those of the test itself take
    # a moment to go.
    daemon.wait_until(lambda: connections(site) <= 4 + 1)
    for storm in storms:
        storm.stop()
    site.wait_until_equal(daemon=daemon)
    assert daemon.said("waiting") == []
