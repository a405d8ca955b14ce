"""kill -9 while rows enter and leave the quarantine loses none and doubles none."""

import random

from cdc.postgres import quarantine

TYPES = """
[sources.tables.t.columns]
v.type = "double precision"
"""
WRITE = "INSERT OR REPLACE INTO t VALUES (abs(random()) % 50, ?)"


def test_kills_while_rows_come_and_go(site):
    """After kills at any moment, each key is in the target or in the quarantine, as it fits."""
    chance = random.Random(3)
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL)")
    site.configure(on_error="quarantine", batch_events=20, more=TYPES)
    site.sqlite(WRITE, *[(chance.choice([0.5, "n/a"]),) for _ in range(100)])
    for _ in range(5):
        daemon = site.start()
        daemon.wait_for("tailing", source="shop")
        for _ in range(chance.randint(1, 20)):
            values = [(chance.choice([0.5, "n/a"]),) for _ in range(chance.choice([1, 30]))]
            site.sqlite(WRITE, *values)
        daemon.kill()
    site.catch_up()
    site.assert_equal()
    with site.target() as target, target.lease() as conn:
        found = {entry.key for entry in quarantine.entries(conn)}
    assert found == set(site.sqlite("SELECT id FROM t WHERE typeof(v) = 'text'"))
