"""Rows that the target cannot hold: set aside whole, and back as soon as they fit."""

import pytest

from cdc.errors import ValueDoesNotFit
from cdc.postgres import quarantine
from cdc.postgres.apply import Applier
from cdc.sqlite import capture
from cdc.sqlite.connection import SourceFile

LONG_KEY = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(3000))
"""No index entry can hold it, however it is compressed."""

SHELF = """
    CREATE TABLE things (id INTEGER PRIMARY KEY, price REAL, name TEXT, raw BLOB);
    CREATE TABLE named (name TEXT PRIMARY KEY, amount INTEGER);
    INSERT INTO things VALUES (1, 1.5, 'one', x'01');
    INSERT INTO named VALUES ('one', 1);
"""

MISFITS = {
    "text in a REAL column": ("things", (7, "n/a", "x", b"x"), "price"),
    "a blob in a REAL column": ("things", (8, b"\0\xff", "x", b"x"), "price"),
    "a zero byte in a text": ("things", (9, 0.5, "a\0b", b"x"), "name"),
    "a blob in a TEXT column": ("things", (10, 0.5, b"\xff", b"x"), "name"),
    "text in a BLOB column": ("things", (11, 0.5, "x", "text"), "raw"),
    "text in an INTEGER column": ("named", ("seven", "7 pieces"), "amount"),
    "a key that is NULL": ("named", (None, 7), "name"),
    "a key of another kind": ("named", (b"\xff", 7), "name"),
    "a key with a zero byte": ("named", ("a\0b", 7), "name"),
    "a key too long for its index": ("named", (LONG_KEY, 7), None),
}
"""Each its table, the row, and the column at fault; no two have the same key."""

HELD = [(table, row) for name, (table, row, _) in MISFITS.items() if "a key" not in name]
"""Those whose keys the target can hold."""

FITTING = {"things": (7.5, "seven", b"7"), "named": (7,)}
"""For each table what fits into it behind the key."""

INSERT = {
    "things": "INSERT OR REPLACE INTO things VALUES (?, ?, ?, ?)",
    "named": "INSERT OR REPLACE INTO named VALUES (?, ?)",
}


def entries(site):
    with site.target() as target, target.lease() as conn:
        return quarantine.entries(conn)


TYPES = """
[sources.tables.things.columns]
price.type = "double precision"
name.type = "text"
raw.type = "bytea"

[sources.tables.named.columns]
name.type = "text"
amount.type = "bigint"
"""


def row_of(site, entry):
    with site.target() as target, target.lease() as conn:
        return quarantine.read_row(conn, entry)


@pytest.fixture
def shelf(site):
    """Two small tables, and a configuration that sets aside what does not fit."""
    site.sqlite(SHELF)
    site.configure(on_error="quarantine", more=TYPES)
    return site


@pytest.fixture(params=["few", "bulk", "first copy", "resync"])
def write(request, shelf, monkeypatch):
    """`write(rows)`: rows, each with its table, are in SQLite and have been read, in one way."""
    if request.param == "bulk":
        monkeypatch.setitem(Applier.__init__.__kwdefaults__, "bulk_rows", 1)
    if request.param != "first copy":
        shelf.catch_up()

    def perform(rows):
        if request.param == "resync":
            with SourceFile(shelf.file()) as file:
                for table in INSERT:
                    capture.uninstall(file, [table])
                    capture.retake(file, table)
        for table, row in rows:
            shelf.sqlite(INSERT[table], row)
        shelf.catch_up()

    return perform


def test_rows_that_do_not_fit_are_set_aside_whole(shelf, write):
    """By whichever way they come: whole, exact, with column and reason; the rest arrives.

    A delete in SQLite removes the entry, also of a key that the target could never hold.
    """
    rows = [(table, row) for table, row, _ in MISFITS.values()]
    write(rows)
    found = {(entry.name, entry.key): entry for entry in entries(shelf)}
    for name, (table, row, column) in MISFITS.items():
        entry = found.pop((table, row[:1]))
        assert (entry.column_name, tuple(row_of(shelf, entry).values())) == (column, row), name
        assert entry.reason, name
    assert found == {}
    assert shelf.postgres("SELECT id FROM things") == [(1,)]
    assert shelf.postgres("SELECT name FROM named") == [("one",)]
    shelf.assert_equal()
    delete(shelf, rows)
    assert entries(shelf) == []
    shelf.assert_equal()


def delete(shelf, rows):
    """Delete these rows in SQLite, and have that arrive."""
    for table, row in rows:
        key = shelf.sqlite(f"SELECT name FROM pragma_table_info('{table}') WHERE pk")[0][0]
        shelf.sqlite(f"DELETE FROM {table} WHERE {key} IS ?", row[:1])
    shelf.catch_up()


def test_keys_move_between_target_and_quarantine(shelf, write):
    """A key has its row in the target or in the quarantine, as its last image fits or not."""
    fitting = [(table, (row[0], *FITTING[table])) for table, row in HELD]
    write(fitting)
    assert entries(shelf) == []
    for aside, images in [(True, HELD), (False, fitting), (True, HELD)]:
        write(images)
        found = {(entry.name, entry.key) for entry in entries(shelf)}
        assert found == {(table, row[:1]) for table, row in HELD if aside}
        shelf.assert_equal()
    delete(shelf, HELD)
    assert entries(shelf) == []
    shelf.assert_equal()


def test_a_long_key_replaces_nothing(shelf):
    """Rows that only the server refuses are found one by one; all others of the batch arrive."""
    shelf.catch_up()
    rows = [(f"k{i}" if i % 7 else LONG_KEY[i:], i) for i in range(50)]
    shelf.sqlite(INSERT["named"], *rows)
    shelf.catch_up()
    assert len(entries(shelf)) == 8
    assert shelf.postgres("SELECT count(*) FROM named") == [(43,)]
    shelf.assert_equal()


def test_halting_is_the_default(site):
    """Without on_error a row that does not fit halts its source, and the message names the way."""
    site.sqlite(SHELF)
    site.configure(more=TYPES)
    site.catch_up()
    site.sqlite(INSERT["things"], (7, "n/a", "x", b"x"))
    with pytest.raises(ValueDoesNotFit) as caught:
        site.catch_up()
    assert 'on_error = "quarantine"' in caught.value.hint
    assert entries(site) == []


def test_the_quarantine_is_loaded_by_the_next_run(shelf):
    """Halting again does not keep what was set aside before from healing."""
    shelf.catch_up()
    shelf.sqlite(INSERT["things"], (7, "n/a", "x", b"x"))
    shelf.catch_up()
    shelf.configure(more=TYPES)
    shelf.sqlite("UPDATE things SET price = 1.5 WHERE id = 7")
    shelf.catch_up()
    assert entries(shelf) == []
    shelf.assert_equal()


def test_another_type_brings_the_rows_back(shelf):
    """A mapping that can hold the value empties the quarantine: its table is copied again."""
    shelf.catch_up()
    shelf.sqlite(INSERT["things"], (7, "n/a", "x", b"x"))
    shelf.catch_up()
    assert len(entries(shelf)) == 1
    more = TYPES.replace('"double precision"', '"literal"')
    shelf.configure(on_error="quarantine", more=more)
    shelf.catch_up()
    assert entries(shelf) == []
    assert shelf.postgres("SELECT price FROM things WHERE id = 7") == [("'n/a'",)]
    shelf.assert_equal()


def test_rows_of_a_table_that_is_renamed_are_set_aside_under_its_name(shelf):
    """No entry is left under the name that it had, where nothing would ever take it away."""
    shelf.catch_up()
    shelf.sqlite(INSERT["things"], (7, "n/a", "x", b"x"))
    shelf.catch_up()
    shelf.sqlite("ALTER TABLE things RENAME TO goods")
    shelf.configure(on_error="quarantine", more=TYPES.replace("things", "goods"))
    shelf.catch_up()
    assert [entry.name for entry in entries(shelf)] == ["goods"]
    shelf.assert_equal()


def test_the_log_tells_what_was_set_aside(shelf):
    """One line for each table of a batch, with how many rows and the first of the reasons."""
    daemon = shelf.daemon()
    shelf.sqlite(INSERT["things"], (7, "n/a", "x", b"x"), (8, "n/a", "x", b"x"))
    daemon.wait_for("quarantined", table="things")
    assert "TEXT 'n/a' does not fit column price" in daemon.text
    assert daemon.stop() == 0


MAPPED = """
[sources.tables.deals.columns]
day.type = "date"
label.type = "varchar(3)"
price = { type = "numeric(10,4)", on_misfit = "quarantine" }
"""
DEAL = "INSERT OR REPLACE INTO deals VALUES (?, ?, ?, ?)"


def test_types_of_the_configuration(site):
    """A row that a chosen type cannot hold is set aside, too, key or not, until it can."""
    site.sqlite(
        "CREATE TABLE deals (day TEXT, n INTEGER, label TEXT, price REAL, PRIMARY KEY (day, n))"
    )
    good = [("2026-03-01", 1, "abc", 1.5), ("2026-03-02", 1, None, None)]
    bad = [
        ("2026-02-30", 1, "abc", 1.5),
        ("someday", 2, "abc", 1.5),
        ("2026-03-01", 3, "abcd", 1.5),
        ("2026-03-01", 4, "abc", "n/a"),
        ("2026-03-01", 5, "abc", 0.00001),
    ]
    site.sqlite(DEAL, *good, *bad[:3])
    site.configure(on_error="quarantine", more=MAPPED)
    site.catch_up()
    site.sqlite(DEAL, *bad[3:])
    site.catch_up()
    assert {entry.key for entry in entries(site)} == {row[:2] for row in bad}
    site.assert_equal()
    site.sqlite("UPDATE deals SET label = 'abc', price = 1.25")
    site.sqlite("DELETE FROM deals WHERE day = 'someday'")
    site.catch_up()
    assert [entry.key for entry in entries(site)] == [("2026-02-30", 1)]
    assert site.postgres("SELECT count(*) FROM deals") == [(5,)]
    site.assert_equal()


def test_a_column_of_the_configuration_asks_for_it_alone(site):
    """Where on_error is "halt", only the column that says so has its rows set aside."""
    site.sqlite("CREATE TABLE deals (day TEXT, n INTEGER PRIMARY KEY, label TEXT, price REAL)")
    site.sqlite(DEAL, ("2026-03-01", 1, "abc", "n/a"))
    site.configure(more=MAPPED)
    site.catch_up()
    assert [entry.key for entry in entries(site)] == [(1,)]
    site.sqlite(DEAL, ("2026-03-01", 2, "abcd", 1.5))
    with pytest.raises(ValueDoesNotFit):
        site.catch_up()
