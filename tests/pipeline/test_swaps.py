"""Unique values that change places, however the events are cut into batches."""

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.stepping import Stepper

ROWS = 5

LEGACY = f"""
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, other INTEGER);
CREATE UNIQUE INDEX by_other ON t (other) WHERE other > 0;
INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
SELECT i, 'n' || i, i FROM n;
"""

PAIRS = st.permutations(range(1, ROWS + 1)).map(lambda ids: ids[:2])
WAYS = st.sampled_from(("update", "replace", "rekey"))
TRANSACTIONS = st.lists(
    st.tuples(st.lists(st.tuples(WAYS, PAIRS), min_size=1, max_size=3), st.integers(0, 3)),
    min_size=1,
    max_size=6,
)
"""What changes places in each, and how many steps of the replication come after it."""

numbers = itertools.count()


def swap(db, way, pair):
    """Let two rows change places: each takes the other's unique values."""
    first, second = (db.execute("SELECT * FROM t WHERE id = ?", (i,)).fetchone() for i in pair)
    if way == "rekey":
        db.execute("UPDATE t SET id = -1 WHERE id = ?", first[:1])
        db.execute("UPDATE t SET id = ? WHERE id = ?", (first[0], second[0]))
        db.execute("UPDATE t SET id = ? WHERE id = -1", second[:1])
        return
    if way == "update":
        db.execute("UPDATE t SET name = NULL, other = 0 WHERE id = ?", first[:1])
    else:
        db.execute("DELETE FROM t WHERE id = ?", first[:1])
    db.execute("UPDATE t SET name = ?, other = ? WHERE id = ?", (*first[1:], second[0]))
    db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", (first[0], *second[1:]))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(transactions=TRANSACTIONS, batch_events=st.integers(1, 9))
def test_values_change_places_wherever_batches_end(site, transactions, batch_events):
    """Both sides are equal, and no unique index had to be given up for it."""
    name = f"swaps{next(numbers)}"
    site.sqlite(LEGACY, name=f"{name}.db")
    site.configure(f"{name}.db", schema=name, batch_events=batch_events)
    [source] = site.config.sources
    with site.target() as target, site.connection(f"{name}.db") as db:
        stepper = Stepper(site.config, source, target)
        stepper.run()
        for swaps, steps in transactions:
            db.execute("BEGIN")
            for way, pair in swaps:
                swap(db, way, pair)
            db.execute("COMMIT")
            stepper.run(steps)
        stepper.run()
        stepper.close()
    site.assert_equal()
    indexes = site.postgres("SELECT indexname FROM pg_indexes WHERE schemaname = %s", name)
    assert {("t_name_key",), ("by_other",)} <= set(indexes)
    site.postgres(f"DROP SCHEMA {name} CASCADE")
    site.postgres("DELETE FROM cdc.captured_table WHERE source = %s", name)
