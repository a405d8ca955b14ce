"""The way back: what was written to PostgreSQL is in SQLite, and nothing else has changed there."""

import shutil

import pytest

from cdc.errors import (
    DirectionChanged,
    SchemaMoved,
    SourceError,
    SourceUnavailable,
    TargetUnavailable,
)
from cdc.event import REVERSE_FLOW
from cdc.pipeline import reverse as pipeline
from cdc.postgres import queue, reverse
from cdc.sqlite import direction
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.reverse import ReverseWriter
from cdc.sqlite.rowwriter import RowWriter
from tests.support.switch import differences, flow, seal, switch, switch_back

SHOP = """
CREATE TABLE trades (id INTEGER PRIMARY KEY AUTOINCREMENT, ticker TEXT UNIQUE, price REAL,
    note TEXT, at TEXT, private TEXT DEFAULT 'kept');
INSERT INTO trades (id, ticker, price, note, at) VALUES
    (1, 'A', 1.23456789, 'one', '2025-07-01T10:00:00'),
    (2, 'B', 2.0, 'two', NULL), (3, 'C', NULL, 'three', NULL);
CREATE TABLE pairs (a TEXT COLLATE NOCASE, b INTEGER, v BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO pairs VALUES ('x', 1, x'00ff'), ('y', 2, 'text');
CREATE TABLE loose (x INTEGER, y TEXT);
INSERT INTO loose VALUES (1, 'a'), (2, 'b');
CREATE TABLE audit (id INTEGER PRIMARY KEY, words TEXT);
CREATE TRIGGER audited AFTER UPDATE ON trades BEGIN
    INSERT INTO audit (words) VALUES ('changed ' || NEW.id); END;
CREATE TRIGGER touched AFTER INSERT ON trades BEGIN
    UPDATE trades SET note = note || '!' WHERE id = NEW.id; END;
"""

MAPPING = """
[sources.tables.trades.columns]
price = { type = "numeric(10,2)", on_misfit = "round" }
at = { type = "timestamptz", timezone = "America/New_York" }
private = { skip = true }
"""


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    site.configure(more=MAPPING)
    return site


def trades(shop):
    return {row[0]: row[1:] for row in shop.sqlite("SELECT * FROM trades ORDER BY id")}


def back(shop, epoch) -> None:
    """All that waits in the queue is brought to SQLite."""
    with flow(shop, epoch) as reverse_flow:
        reverse_flow.drain()


def reverse_events(shop) -> list:
    return shop.sqlite(
        f"SELECT op, v0 FROM _cdc_changelog WHERE origin = {REVERSE_FLOW} ORDER BY seq"
    )


def left_behind(shop) -> list:
    with shop.target() as target, target.lease() as conn:
        return [(r.name, r.key, r.column_name) for r in reverse.quarantined(conn, "shop")]


def test_an_untouched_value_keeps_its_every_digit(shop):
    """Only what PostgreSQL has changed is written: 1.23456789 is 1.23 there, and stays as it is."""
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET note = 'changed', price = price")
    back(shop, epoch)
    assert [row[1:3] for row in trades(shop).values()] == [
        (1.23456789, "changed"), (2.0, "changed"), (None, "changed"),
    ]  # fmt: skip
    shop.postgres("UPDATE trades SET price = 1.24 WHERE id = 1")
    back(shop, epoch)
    assert trades(shop)[1][1] == 1.24
    assert differences(shop) == []


def test_a_trigger_of_the_application_does_not_act_twice(shop):
    """What it did is in PostgreSQL's rows already, or is the application's there to do."""
    epoch = switch(shop)
    shop.postgres("INSERT INTO trades (id, ticker, note) VALUES (9, 'Z', 'new')")
    shop.postgres("UPDATE trades SET note = 'changed' WHERE id = 1")
    back(shop, epoch)
    assert trades(shop)[9][2] == "new"
    assert shop.sqlite("SELECT * FROM audit") == []
    assert reverse_events(shop) == [("i", 9), ("u", 1)] or reverse_events(shop) == [
        ("u", 1), ("i", 9),
    ]  # fmt: skip
    assert differences(shop) == []


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_nothing_is_brought_to_a_file_that_was_moved_away(shop, monkeypatch, when):
    """It comes to the one that is there instead; in WAL mode SQLite itself would not mind."""
    shop.sqlite("PRAGMA journal_mode = WAL")
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET note = 'changed' WHERE id = 1")
    write, moves = ReverseWriter.write, iter(["once"])

    def move():
        for _ in moves:
            shop.folder.joinpath("old").mkdir()
            for path in shop.folder.glob("shop.db*"):
                path.rename(path.parent / "old" / path.name)
                shutil.copy(path.parent / "old" / path.name, path)

    def moved(self, *arguments, **options):
        move()
        return write(self, *arguments, **options)

    monkeypatch.setattr(ReverseWriter, "write", moved)
    with flow(shop, epoch) as reverse_flow:
        if when == "before":
            move()
        with pytest.raises(SourceUnavailable, match="was moved or replaced"):
            reverse_flow.drain()
    back(shop, epoch)
    assert trades(shop)[1][2] == "changed"
    assert differences(shop) == []


WRITES = {
    "nothing at all": "UPDATE trades SET note = note",
    "insert": "INSERT INTO trades (id, ticker, price, at) VALUES (9, 'Z', 7.5, '2025-01-01Z')",
    "update": "UPDATE trades SET at = '2025-07-01T12:00Z', price = NULL WHERE id = 1",
    "the hour that comes twice": "UPDATE trades SET at = '2025-11-02T05:30:00Z' WHERE id = 1;"
    "UPDATE trades SET at = '2025-11-02T06:30:00Z' WHERE id = 2",
    "delete": "DELETE FROM trades WHERE id <> 2; DELETE FROM loose",
    "new key": "UPDATE trades SET id = 77 WHERE id = 2",
    "swapped keys": "UPDATE loose SET rowid = -rowid; UPDATE loose SET rowid = 3 + rowid",
    "swapped unique values": "UPDATE trades SET ticker = '?' WHERE id = 1;"
    "UPDATE trades SET ticker = 'A' WHERE id = 2; UPDATE trades SET ticker = 'B' WHERE id = 1",
    "unique value handed on": "DELETE FROM trades WHERE id = 1;"
    "INSERT INTO trades (id, ticker) VALUES (8, 'A')",
    "deleted and made again": "DELETE FROM trades WHERE id = 1;"
    "INSERT INTO trades (id, ticker, price) VALUES (1, 'A', 1.23)",
    "truncate": "TRUNCATE trades, pairs, loose",
    "truncate and more": "INSERT INTO trades (id, ticker) VALUES (50, 'gone'); TRUNCATE trades;"
    "INSERT INTO trades (id, ticker) VALUES (51, 'A')",
    "loose collation": "DELETE FROM pairs WHERE a = 'x';"
    "INSERT INTO pairs VALUES ('X', 1, '''text'''), ('it''s', -5, 'X''00''')",
    "two of a loose collation": "INSERT INTO pairs VALUES ('Q', 1, '1.5'); UPDATE pairs SET a = 'q'"
    " WHERE a = 'Q'",
    "storage classes": "UPDATE pairs SET v = '9223372036854775807'",
    "without a key": "INSERT INTO loose (rowid, x, y) VALUES (5, 5, 'e'); DELETE FROM loose"
    " WHERE rowid = 1",
    "empty text": "UPDATE trades SET note = '', ticker = NULL WHERE id = 3",
}


RESET = """
DELETE FROM trades; DELETE FROM pairs; DELETE FROM loose;
INSERT INTO trades SELECT * FROM kept_trades; INSERT INTO pairs SELECT * FROM kept_pairs;
INSERT INTO loose SELECT * FROM kept_loose
"""


@pytest.mark.parametrize("entries", [1, 1000])
def test_every_kind_of_write_goes_back(entries, shop):
    """Wherever batches fall; and after the switch back SQLite's own writes go forward again."""
    epoch = switch(shop)
    for table in ("trades", "pairs", "loose"):
        shop.postgres(f"CREATE TABLE kept_{table} AS TABLE {table}")
    with flow(shop, epoch, batch_entries=entries) as reverse_flow:
        for write, statements in WRITES.items():
            shop.postgres(RESET)
            reverse_flow.drain()
            shop.postgres(statements)
            reverse_flow.drain()
            assert (write, left_behind(shop)) == (write, [])
            assert (write, differences(shop)) == (write, [])
    assert shop.sqlite("PRAGMA integrity_check") == [("ok",)]
    switch_back(shop)
    before = shop.postgres("SELECT xmin, * FROM trades ORDER BY id")
    shop.catch_up()  # what came from PostgreSQL is not applied to it
    assert shop.postgres("SELECT xmin, * FROM trades ORDER BY id") == before
    # These evict rows that came from PostgreSQL, which their mirrors have to know.
    shop.sqlite("REPLACE INTO trades (ticker, price) VALUES ('A', 5.5), ('B', 6.25)")
    shop.sqlite("DELETE FROM loose; INSERT INTO loose VALUES (7, 'z')")
    shop.sqlite("REPLACE INTO pairs VALUES ('X', 1, 7.0), ('Y', 2, NULL)")
    shop.catch_up()
    shop.assert_equal()


def test_a_deleted_row_leaves_nothing_to_the_next_of_its_key(shop):
    """Not its digits, and nothing in the columns that PostgreSQL does not have."""
    shop.sqlite("UPDATE trades SET private = 'secret'")
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET note = 'same row' WHERE id = 2")
    shop.postgres(
        "DELETE FROM trades WHERE id = 1;"
        "INSERT INTO trades (id, ticker, price) VALUES (1, 'A', 1.23)"
    )
    back(shop, epoch)
    found = trades(shop)
    assert (found[1][1], found[1][4]) == (1.23, "kept")
    assert (found[2][1], found[2][4]) == (2.0, "secret")


def test_sequences_go_past_what_came_back(shop):
    """The application's next row after the way back gets a key that PostgreSQL has not given."""
    epoch = switch(shop)
    shop.postgres("INSERT INTO trades (id, ticker) VALUES (900, 'Z')")
    shop.postgres("DELETE FROM trades WHERE id = 900")
    shop.postgres("INSERT INTO trades (id, ticker) VALUES (901, 'Z')")
    back(shop, epoch)
    switch_back(shop)
    shop.sqlite("INSERT INTO trades (ticker) VALUES ('next')")
    assert max(trades(shop)) == 902


MISFITS = {
    "infinite moment": ("UPDATE trades SET at = 'infinity' WHERE id = 1", "at"),
    "not a number": ("UPDATE trades SET price = 'NaN' WHERE id = 1", "price"),
    "no literal": ("UPDATE pairs SET v = 'nonsense' WHERE a = 'x'", "v"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_sqlite_cannot_hold_has_no_row_there(misfit, shop):
    """It is named, the others go on, and it comes back as soon as it fits."""
    statement, column = MISFITS[misfit]
    epoch = switch(shop)
    shop.postgres(statement)
    shop.postgres("UPDATE trades SET note = 'other' WHERE id = 2")
    back(shop, epoch)
    ((table, _, at_fault),) = left_behind(shop)
    assert at_fault == column
    where = "a = 'x'" if table == "pairs" else "id = 1"
    assert shop.sqlite(f"SELECT * FROM {table} WHERE {where}") == []
    assert trades(shop)[2][2] == "other"
    heal = "'1'" if table == "pairs" else "NULL"
    shop.postgres(f"UPDATE {table} SET {column} = {heal} WHERE {where}")
    back(shop, epoch)
    assert left_behind(shop) == []
    assert differences(shop) == []


def test_a_row_that_is_in_the_way_for_good_is_named(shop):
    """Where a unique value of SQLite is none in PostgreSQL; and it is tried again when asked."""
    epoch = switch(shop)
    shop.postgres("DROP INDEX trades_ticker_key")
    shop.postgres("UPDATE trades SET ticker = 'A' WHERE id = 2")
    back(shop, epoch)
    assert left_behind(shop) == [("trades", "[2]", None)]
    assert trades(shop).keys() == {1, 3}
    shop.postgres("DELETE FROM trades WHERE id = 1")
    with shop.target() as target, target.lease() as conn:
        assert reverse.requeue(conn, "shop") == 1
    back(shop, epoch)
    assert left_behind(shop) == []
    assert trades(shop).keys() == {2, 3}
    assert differences(shop) == []


@pytest.mark.parametrize("clause", ["IGNORE", "REPLACE", "FAIL", "ROLLBACK"])
def test_no_row_is_dropped_or_replaced_because_the_table_says_so(clause, shop):
    """ON CONFLICT in a table is for those who write to it, and tells nobody what it did."""
    shop.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE ON CONFLICT {clause});"
        "INSERT INTO t VALUES (2, 'b'), (5, 'a');"
        f"CREATE TABLE words (w TEXT COLLATE NOCASE PRIMARY KEY ON CONFLICT {clause}, n INTEGER);"
        "INSERT INTO words VALUES ('b', 1)"
    )
    epoch = switch(shop)
    shop.postgres("UPDATE t SET u = 'z' WHERE id = 5; INSERT INTO t VALUES (3, 'a')")
    shop.postgres("UPDATE t SET u = 'y' WHERE id = 2; UPDATE t SET u = 'b' WHERE id = 3")
    back(shop, epoch)
    assert left_behind(shop) == []
    assert differences(shop) == []
    assert shop.sqlite("SELECT * FROM t ORDER BY id") == [(2, "y"), (3, "b"), (5, "z")]
    shop.postgres("INSERT INTO words VALUES ('B', 2)")
    back(shop, epoch)
    assert shop.sqlite("SELECT * FROM words") == [("b", 1)]
    assert left_behind(shop) == [("words", '["B"]', None)]


def test_a_row_that_sqlite_does_not_keep_is_named(shop, monkeypatch):
    """Whatever swallows it."""
    epoch = switch(shop)
    monkeypatch.setattr(RowWriter, "insert", lambda *_: None)
    shop.postgres("INSERT INTO trades (id, ticker) VALUES (9, 'Z')")
    back(shop, epoch)
    assert left_behind(shop) == [("trades", "[9]", None)]


def test_a_batch_is_extended_where_rows_are_in_the_way(shop, monkeypatch):
    """Values that were swapped are brought together, however small a batch is meant to be."""
    epoch = switch(shop)
    shop.postgres(WRITES["swapped unique values"])
    limits = []
    take = queue.take

    def watched(*arguments, limit):
        limits.append(limit)
        return take(*arguments, limit=limit)

    monkeypatch.setattr(pipeline.queue, "take", watched)
    with flow(shop, epoch, batch_entries=1) as reverse_flow:
        written = reverse_flow.step()
    assert (written.entries, written.left_behind) == (3, 0)
    assert limits == [1, 4]
    assert differences(shop) == []


def test_a_generated_column_is_left_to_sqlite(shop):
    """PostgreSQL has a plain column for it, which nobody there may keep up."""
    shop.sqlite("ALTER TABLE trades ADD COLUMN doubled REAL AS (price * 2)")
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET price = 8 WHERE id = 2")
    shop.postgres("INSERT INTO trades (id, ticker, price) VALUES (9, 'Z', 4)")
    back(shop, epoch)
    assert left_behind(shop) == []
    assert (trades(shop)[2][-1], trades(shop)[9][-1]) == (16.0, 8.0)


def test_a_batch_that_was_written_but_not_settled_comes_again(shop, monkeypatch):
    """As after a kill between the two commits: the outcome is the same, and the queue is empty."""
    epoch = switch(shop)
    shop.postgres(
        "DELETE FROM trades WHERE id = 1; UPDATE trades SET price = 9.99, at = 'infinity'"
    )

    def fail(*_, **__):
        raise TargetUnavailable("gone")

    with flow(shop, epoch) as reverse_flow:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline.reverse, "settle", fail)
            with pytest.raises(TargetUnavailable):
                reverse_flow.step()
        assert trades(shop) == {}
        assert left_behind(shop) == []
        # What is written meanwhile goes with it.
        shop.postgres("UPDATE trades SET at = NULL WHERE id = 2")
        reverse_flow.drain()
        assert reverse_flow.step() is None
    assert left_behind(shop) == [("trades", "[3]", "at")]
    assert trades(shop)[2][1] == 9.99


def test_of_two_appliers_the_slower_writes_nothing(shop, monkeypatch):
    """Its rows were read before the other's were: they are older than what SQLite holds."""
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET note = 'old'")
    take = queue.take

    def slowly(*arguments, **options):
        batch = take(*arguments, **options)
        monkeypatch.undo()
        shop.postgres("UPDATE trades SET note = 'new'")
        back(shop, epoch)
        return batch

    monkeypatch.setattr(pipeline.queue, "take", slowly)
    with flow(shop, epoch) as slow, pytest.raises(DirectionChanged, match="somebody else"):
        slow.step()
    assert {row[2] for row in trades(shop).values()} == {"new"}


def test_an_applier_that_slept_through_a_switch_back_writes_nothing(shop, monkeypatch):
    """Neither while SQLite is master nor under the next epoch."""
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET note = 'old'")
    take = queue.take

    def slowly(*arguments, **options):
        batch = take(*arguments, **options)
        monkeypatch.undo()
        switch_back(shop)
        shop.sqlite("UPDATE trades SET note = 'legacy'")
        return batch

    monkeypatch.setattr(pipeline.queue, "take", slowly)
    with flow(shop, epoch) as stale:
        with pytest.raises(DirectionChanged):
            stale.step()
        assert {row[2] for row in trades(shop).values()} == {"legacy"}
        assert switch(shop) == epoch + 2
        shop.postgres("UPDATE trades SET note = 'newest' WHERE id = 1")
        with pytest.raises(DirectionChanged, match=f"under epoch {epoch + 2}, not {epoch}"):
            stale.step()


def test_a_change_of_the_schema_stops_it(shop):
    """DDL passes a freeze; what its rows mean then is to be looked at first."""
    epoch = switch(shop)
    shop.postgres("UPDATE trades SET note = 'x'")
    with flow(shop, epoch) as reverse_flow:
        shop.sqlite("ALTER TABLE trades ADD COLUMN more TEXT; DROP TABLE audit")
        with pytest.raises(SchemaMoved):
            reverse_flow.step()
    with (
        pytest.raises(SourceError, match="the shape of audit, trades was changed"),
        flow(shop, epoch),
    ):
        pass
    assert trades(shop)[1][2] == "one"


def test_never_both_sides_take_writes(shop):
    """While PostgreSQL is master, neither a thaw nor an uninstall opens the files."""
    switch(shop)
    for command in ("thaw", "uninstall"):
        outcome = shop.cdc(command)
        assert outcome.code == 3
        assert "would let both sides take writes" in outcome.err
    with SourceFile(shop.file()) as file, pytest.raises(SourceError, match="cdc froze trades"):
        file.write(lambda: file.query("DELETE FROM trades"))
    switch_back(shop)
    assert shop.cdc("uninstall").code == 0


def test_the_file_remembers_how_far_it_is(shop):
    """What is left when PostgreSQL is gone: the last batch, and when it came."""
    epoch = switch(shop)
    with SourceFile(shop.file()) as file:
        with file.reading():
            assert direction.read(file) == direction.Direction(epoch, 0)
        for _ in range(2):
            shop.postgres("UPDATE trades SET note = note || '.'")
            back(shop, epoch)
        with file.reading():
            found = direction.read(file)
        assert (found.epoch, found.batch, found.at is not None) == (epoch, 2, True)
        file.write(lambda: seal(file, epoch + 2))
        with file.reading():
            assert direction.read(file) == direction.Direction(epoch + 2, 0)
