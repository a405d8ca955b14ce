"""Each chunk is found by an index, or the copy of a table takes the square of its rows."""

import sqlite3

import pytest

from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import source_table
from cdc.sqlite.order import chunk_order
from cdc.sqlite.walk import TableWalk

SHAPES = {
    "integer key": "CREATE TABLE t (a INTEGER PRIMARY KEY, b)",
    "text key": "CREATE TABLE t (a TEXT PRIMARY KEY, b)",
    "folded key": "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY, b)",
    "no key": "CREATE TABLE t (a, b)",
    "composite": "CREATE TABLE t (a TEXT, b INTEGER, c, PRIMARY KEY (b, a))",
    "without rowid": "CREATE TABLE t (a TEXT, b, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "folded without rowid": (
        "CREATE TABLE t (a TEXT COLLATE NOCASE, b, PRIMARY KEY (a, b)) WITHOUT ROWID"
    ),
}


@pytest.mark.parametrize("ddl", SHAPES.values(), ids=SHAPES)
def test_chunk_is_found_by_an_index(tmp_path, ddl):
    """SQLite searches for the place behind which a chunk begins, and sorts nothing."""
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as db:
        db.execute(ddl)
    with SourceFile(path) as file, file.reading():
        order = chunk_order(source_table(file, "t"))
        place = tuple(0 for _ in order.terms)
        query = f"SELECT * FROM t AS _cdc_t WHERE {order.after(place)} ORDER BY {order.order_by()}"
        plan = [row[-1] for row in file.query(f"EXPLAIN QUERY PLAN {query}", place)]
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH")


def test_number_of_rows_is_guessed_from_both_ends(tmp_path, monkeypatch):
    """The guess for a progress bar does not hold SQLite's lock for a look at every row."""
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as db:
        db.execute(SHAPES["integer key"])
        db.executemany("INSERT INTO t VALUES (?, 'x')", [(3,), (5,), (12,)])
    asked = []
    with SourceFile(path) as file, file.reading():
        walk = TableWalk(file, source_table(file, "t"))
        query = file.query
        monkeypatch.setattr(file, "query", lambda sql: [asked.append(sql), query(sql)][1])
        assert walk.estimated_rows() == 10
        plan = [row[-1] for row in query(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert any(step.startswith("SEARCH") for step in plan)
    assert not any(step.startswith("SCAN") and "CONSTANT" not in step for step in plan)
