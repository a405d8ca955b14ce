"""A file in UTF-16 sorts texts by other bytes than PostgreSQL: no range of keys is one there."""

import pytest

from cdc.pipeline import chunking

TABLES = """
PRAGMA encoding = '{encoding}';
CREATE TABLE by_word (word TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE by_two (word TEXT, n INTEGER, v TEXT, PRIMARY KEY (word, n)) WITHOUT ROWID;
-- Characters of one byte, of two and of three, and some of two units.
INSERT INTO by_word WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 599)
SELECT char((ARRAY) + i / 4) || 'x', i FROM n;
INSERT INTO by_two SELECT word, n, 'v' || n FROM by_word;
""".replace(
    "(ARRAY)", "CASE i % 4 WHEN 0 THEN 33 WHEN 1 THEN 256 WHEN 2 THEN 57344 ELSE 127744 END"
)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_texts_of_a_key_cross_in_any_encoding(site, monkeypatch, encoding):
    """The copy, a copy over what is there, and the proof, each in many chunks."""
    monkeypatch.setattr(chunking, "CHUNK_VALUES", 100)
    monkeypatch.setattr("cdc.proof.table.FIRST_RANGE", 20)
    site.sqlite(TABLES.format(encoding=encoding))
    site.configure()
    site.catch_up()
    site.assert_equal()
    # A gap in both captures, after which both tables are copied again.
    for table in ("by_word", "by_two"):
        site.sqlite(
            f"DROP TRIGGER {trigger(site, table)};"
            f"UPDATE {table} SET n = -n WHERE n % 7 = 1; DELETE FROM {table} WHERE n % 7 = 2"
        )
    site.catch_up()
    site.assert_equal()
    site.sqlite("UPDATE by_word SET n = n + 1 WHERE n % 5 = 0; DELETE FROM by_two WHERE n % 5 = 0")
    site.catch_up()
    assert site.prove().converged
    site.assert_equal()


def trigger(site, table):
    """The name of one of a table's triggers."""
    found = site.sqlite(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (table,)
    )
    return found[0][0]
