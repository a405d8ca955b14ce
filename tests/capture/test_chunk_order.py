"""Each chunk is found by an index, or the copy of a table takes the square of its rows."""

import sqlite3

import pytest

from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import source_table
from cdc.sqlite.order import chunk_order

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
