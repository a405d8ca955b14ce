"""Tables of one file do not wait for each other."""

from cdc.pipeline import chunking
from cdc.pipeline.replicate import PIECES_AHEAD
from tests.support.stepping import Stepper

LEGACY = """
CREATE TABLE large (id INTEGER PRIMARY KEY, words TEXT);
INSERT INTO large WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
SELECT i, 'some words that take their time, number ' || i FROM n;
CREATE TABLE small (id INTEGER PRIMARY KEY, at TEXT);
"""

REBUILD = """
BEGIN;
CREATE TABLE new (id INTEGER PRIMARY KEY, words TEXT, more INTEGER DEFAULT 1);
INSERT INTO new (id, words) SELECT id, words FROM large;
DROP TABLE large;
ALTER TABLE new RENAME TO large;
COMMIT;
"""


def test_events_go_on_beside_a_long_resync(site, monkeypatch):
    """While one table is copied again, each change of another arrives a few pieces later."""
    # Many small pieces, as a table of many millions of rows has large ones.
    monkeypatch.setattr(chunking, "CHUNK_VALUES", 2_000)
    site.sqlite(LEGACY)
    site.configure(lock_bound_ms=1)
    [source] = site.config.sources
    with site.target() as target:
        stepper = Stepper(site.config, source, target)
        stepper.run()
        site.sqlite(REBUILD)
        beside = 0
        for number in range(1, 1_000):
            site.sqlite("INSERT INTO small VALUES (?, 'now')", (number,))
            if not stepper.step():
                break
            if all(table.done for table in stepper.progress.tables.values()):
                continue
            [(arrived,)] = site.postgres("SELECT coalesce(max(id), 0) FROM small")
            # The step that finds the schema changed, those read ahead, and the one under way.
            assert arrived >= number - PIECES_AHEAD - 3
            beside += arrived > 0
            if beside > 20:
                break
        assert beside > 20, "the copy was over too soon to tell"
        stepper.run()
        stepper.close()
    site.assert_equal()
