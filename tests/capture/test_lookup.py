"""Rows are found by their keys, exactly, one by one or many at once."""

import sqlite3

import pytest

from cdc.schema import UndecodableText
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import source_table
from cdc.sqlite.lookup import TOGETHER, Lookup


@pytest.fixture
def lookup(tmp_path):
    """Makes what finds the rows of a table with this DDL and these rows."""
    path = tmp_path / "legacy.db"
    opened = []

    def make(ddl, rows):
        with sqlite3.connect(path) as db:
            db.execute(ddl)
            marks = ", ".join("?" * len(rows[0]))
            db.executemany(f"INSERT INTO t VALUES ({marks})", rows)
        file = SourceFile(path)
        opened.append(file)
        return Lookup(file, source_table(file, "t"))

    yield make
    for file in opened:
        file.close()


def test_many_numbers_are_found_at_once(lookup):
    """Also more than one statement takes, with some that are not there among them."""
    rows = [(i, f"row {i}") for i in range(-TOGETHER, 3 * TOGETHER) if i % 7]
    found = lookup("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows)
    keys = [(i,) for i in range(-TOGETHER - 5, 3 * TOGETHER + 5)]
    assert found.rows(keys) == {(row[0],): row for row in rows}


def test_nothing_is_found_for_no_keys(lookup):
    """No statement is made of an empty list."""
    assert lookup("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", [(1, "a")]).rows([]) == {}


def test_text_that_is_not_utf_8_hides_no_row(lookup, tmp_path):
    """The rows beside it are found, and it comes as its bytes."""
    found = lookup(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", [(1, "a"), (2, "b"), (3, "c")]
    )
    with sqlite3.connect(tmp_path / "legacy.db") as db:
        db.execute("UPDATE t SET v = CAST(x'ff62' AS TEXT) WHERE id = 2")
    rows = found.rows([(1,), (2,), (3,), (4,)])
    assert rows == {(1,): (1, "a"), (2,): (2, UndecodableText(b"\xffb")), (3,): (3, "c")}


def test_keys_of_other_kinds_are_found_exactly(lookup):
    """A folded key by its very letters, a key that is NULL, and a number as it is stored."""
    rows = [("a", 1), (None, 2), (1.5, 3), (b"x", 4)]
    found = lookup("CREATE TABLE t (k COLLATE NOCASE PRIMARY KEY, v)", rows)
    assert found.rows([("A",), ("a",), (None,), (1.5,), (b"x",), (2,)]) == {
        (row[0],): row for row in rows
    }
