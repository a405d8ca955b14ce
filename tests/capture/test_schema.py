"""What capture adds to a file's schema, how it is watched, and that it can be taken away again."""

import random

import pytest

from cdc.errors import CaptureRefused, SchemaMoved, SourceBusy
from cdc.event import LAYOUT
from cdc.sqlite import capture, connection, triggers
from cdc.sqlite.captures import captured, stored_captures
from cdc.sqlite.mirrors import fill_mirrors
from cdc.sqlite.verification import Finding

from .conftest import Story
from .legacy import Legacy
from .shapes import SHAPES, Shape, names, quoted
from .workload import generate

OWN = "CREATE TRIGGER own AFTER INSERT ON {} BEGIN SELECT 1; END"


def lived_in(story: Story, shape: Shape, seed: int = 1) -> list[str]:
    """A file of this shape with a past; gives its tables."""
    workload = generate(seed, shape)
    story.tries(*workload.settings, *workload.steps)
    return [look.table for look in workload.looks]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("at_once", [True, False], ids=["whole", "by table"])
def test_uninstalling_leaves_the_file_as_it_was(story: Story, shape: Shape, at_once: bool) -> None:
    """Schema and rows are as before, and no sqlite_sequence stays that the file had not."""
    tables = lived_in(story, shape)
    before = story.schema()
    story.install()
    assert set(story.schema()) > set(before)
    story.tries(*generate(2, shape).steps)
    schema = [row for row in story.schema() if not row[1].startswith("_cdc_")]
    rows = [story.runs(f"SELECT * FROM {quoted(table)}") for table in tables]
    if not at_once:
        for table in tables:
            assert story.uninstall(table) == [table]
        assert not [row for row in story.schema() if row[0] == "trigger" and "_cdc_" in row[3]]
    story.uninstall()
    assert story.schema() == schema
    assert {row for row in schema if row[0] == "table"} == {r for r in before if r[0] == "table"}
    assert [story.runs(f"SELECT * FROM {quoted(table)}") for table in tables] == rows
    assert story.runs("PRAGMA integrity_check") == [("ok",)]


DAMAGES = {
    "dropped": "DROP TRIGGER {0}",
    "altered": "DROP TRIGGER {0}; CREATE TRIGGER {0} AFTER INSERT ON t BEGIN SELECT 1; END",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_trigger_that_is_dropped_or_altered_is_a_hole(story: Story, damage: str) -> None:
    """A capture is intact only while each of its triggers has the text it was installed with. It is
    mended without touching what belongs to the application.
    """
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, t REFERENCES t ON DELETE CASCADE)",
        "CREATE TRIGGER own AFTER INSERT ON t BEGIN SELECT 1; END",
    )
    before = story.schema()
    story.install()
    number = 0
    while True:
        with story.opened() as file:
            ours = {c.name: list(c.triggers) for c in stored_captures(file)}
        assert [len(ours["t"]), len(ours["child"])] == [5, 3]
        damaged = [(table, name) for table in sorted(ours) for name in ours[table]][number:]
        if not damaged:
            break
        table, name = damaged[0]
        story.runs(*DAMAGES[damage].format(name).split("; ", 1))
        others = {other: Finding.INTACT for other in ours if other != table}
        assert story.findings() == {table: Finding.HOLE, **others}
        assert story.install() == {table: Finding.HOLE, **others}
        assert set(story.findings().values()) == {Finding.INTACT}
        assert [row for row in story.schema() if "_cdc_" not in row[1]] == before
        number += 1
    assert number == 8


def test_a_mirror_that_is_gone_is_a_hole(story: Story) -> None:
    """Without its mirror a capture cannot tell of evicted rows."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)")
    story.install()
    story.runs("DROP TABLE _cdc_mirror_1")
    assert story.findings() == {"t": Finding.HOLE}


@pytest.mark.parametrize(
    "change",
    ["CREATE UNIQUE INDEX later ON t (b)", "DROP INDEX given"],
    ids=["a new index", "an index less"],
)
def test_another_unique_index_is_a_hole(story: Story, change: str) -> None:
    """Rows may have been evicted by values that the mirror does not follow."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)", "CREATE UNIQUE INDEX given ON t (a)"
    )
    story.install()
    story.runs(change)
    assert story.findings() == {"t": Finding.HOLE}
    story.install()
    assert story.findings() == {"t": Finding.INTACT}


def test_an_upgrade_is_no_hole(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triggers of another version of cdc are replaced; the capture goes on under its layout."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)", "INSERT INTO t VALUES (1, 1)")
    story.install()
    with story.opened() as file:
        (before,) = captured(file)
    load = triggers.load_sql
    monkeypatch.setattr(
        triggers,
        "load_sql",
        lambda name: load(name).replace("SELECT julianday", "SELECT  julianday"),
    )
    assert story.findings() == {"t": Finding.OUTDATED}
    assert story.install() == {"t": Finding.OUTDATED}
    assert story.findings() == {"t": Finding.INTACT}
    with story.opened() as file:
        assert captured(file) == [before]
    story.runs("REPLACE INTO t VALUES (2, 1)")
    assert story.log() == [("r", 1, None), ("i", 2, 1)]


def test_a_newer_trigger_of_the_application_is_overtaken(story: Story) -> None:
    """SQLite runs the newest trigger first. One that keeps a change and ends its statement must run
    after ours; reinstalled on the change of schema, ours are the newest again.
    """
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)")
    story.install()
    story.runs(
        "CREATE TRIGGER keep AFTER INSERT ON t WHEN NEW.a > 5 BEGIN SELECT RAISE(FAIL, 'odd'); END"
    )
    assert story.findings() == {"t": Finding.OUTDATED}
    assert story.install() == {"t": Finding.OUTDATED}
    assert story.findings() == {"t": Finding.INTACT}
    assert story.tries("INSERT INTO t VALUES (1, 6)")[0].error == "IntegrityError: odd"
    assert story.runs("SELECT * FROM t") == [(1, 6)]
    assert story.log() == [("i", 1, 6)]


WIDE = ", ".join(f"c{i}" for i in range(1, 2000))
"""With one more, as many columns as SQLite allows."""


@pytest.mark.parametrize(
    ("ddl", "reason"),
    [
        (["CREATE TABLE t (k TEXT COLLATE own_collation PRIMARY KEY)"], "collation OWN_COLLATION"),
        (
            ["CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT COLLATE own_collation UNIQUE)"],
            "collation OWN_COLLATION",
        ),
        (["CREATE TABLE t (rowid, _rowid_, oid)"], "hide its rowid"),
        (
            [f"CREATE TABLE t (c0 INTEGER PRIMARY KEY, {WIDE})"],
            'Table "t" of .* has 2000 columns',
        ),
        (
            [
                "CREATE TABLE t (k INTEGER PRIMARY KEY, a)",
                "CREATE UNIQUE INDEX i ON t (own_function(a))",
            ],
            "no such function",
        ),
    ],
)
def test_a_table_that_cannot_be_captured_is_refused(
    story: Story, ddl: list[str], reason: str
) -> None:
    """A refusal says why, and leaves the file as it was, byte for byte."""
    story.runs("CREATE TABLE fine (id INTEGER PRIMARY KEY)", *ddl)
    before = story.path.read_bytes()
    with pytest.raises(CaptureRefused, match=reason):
        story.install("fine", "t")
    assert story.path.read_bytes() == before


def test_what_only_the_application_knows_may_stand_beside_the_keys(story: Story) -> None:
    """Its collations and functions are no obstacle where capture compares nothing by them."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE own_collation, b)",
        "CREATE INDEX i ON t (a)",
        "CREATE TRIGGER own AFTER INSERT ON t BEGIN SELECT own_function(NEW.b); END",
    )
    story.install()
    story.runs("INSERT INTO t VALUES (1, 'x', 2)")
    assert story.log() == [("i", 1, "x", 2)]


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_file_that_another_writes_to_is_not_waited_for_without_end(
    story: Story, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installing beside a writer that does not end gives up, and has written nothing."""
    monkeypatch.setattr(connection, "WRITE_PATIENCE_SECONDS", 0.05)
    story.runs(
        f"PRAGMA journal_mode = {journal}",
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "BEGIN IMMEDIATE",
        "INSERT INTO t VALUES (1)",
    )
    with story.opened() as file, pytest.raises(SourceBusy):
        capture.install(file, ["t"], wait=lambda _: None)
    story.runs("COMMIT")
    assert [row[1] for row in story.schema()] == ["t"]


def test_a_lock_is_told_as_one_wherever_it_is_met(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of a transaction, too: whoever waits for a file to be free again knows this error."""
    monkeypatch.setattr(connection, "READ_PATIENCE_SECONDS", 0.0)
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with story.opened() as file:
        story.runs("BEGIN EXCLUSIVE")
        with pytest.raises(SourceBusy):
            file.query("SELECT count(*) FROM t")
        story.runs("ROLLBACK")
        assert file.query("SELECT count(*) FROM t").get == 0


def renamed(story: Story, table: str, column: str) -> list[str]:
    """What the application may do to a table's definition; the errors it gets."""
    table, column = quoted(table), quoted(column)
    outcomes = story.tries(
        f"ALTER TABLE {table} ADD COLUMN added_later",
        f"ALTER TABLE {table} RENAME COLUMN {column} TO renamed_later",
        f"ALTER TABLE {table} RENAME TO other_name",
        f"ALTER TABLE other_name RENAME TO {table}",
    )
    return [outcome.error for outcome in outcomes]


@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_altering_a_captured_table_works_as_ever(
    story: Story, legacy: Legacy, tmp_path, shape: Shape, hostile: bool
) -> None:
    """ADD COLUMN, RENAME COLUMN and RENAME TO succeed or fail as they do without capture, and what
    is written afterwards is still logged.
    """
    called = names(shape, random.Random(1), hostile=hostile)
    ddl = [sql for table in shape.tables for sql in table.ddl(called)]
    free = Story(tmp_path / "free.db", legacy)
    legacy.open(free.path)
    for file in (story, free):
        file.runs(*ddl)
    story.install()
    for table in shape.tables:
        for column in table.columns:
            arguments = (called[table.label], called[column.label])
            assert renamed(story, *arguments) == renamed(free, *arguments)
            back = (
                f"ALTER TABLE {quoted(called[table.label])}"
                f" RENAME COLUMN renamed_later TO {quoted(called[column.label])}"
            )
            story.tries(back)
            free.tries(back)
    legacy.close(free.path)
    assert not story.events()
    story.grow(shape, called, 1)
    assert {event[LAYOUT] for event in story.events()} == set(range(1, len(shape.tables) + 1))


def test_table_that_is_gone_is_told_from_one_that_cannot_be_captured(story: Story) -> None:
    """Between two looks at a file a migration may drop a table: look again, nothing is wrong."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    before = story.schema()
    with pytest.raises(SchemaMoved):
        story.install("t", "dropped_meanwhile")
    assert story.schema() == before


def test_mirror_is_not_filled_across_a_change_of_the_schema(story: Story) -> None:
    """What was looked at before the change may be gone: the fill ends, and begins anew."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)", "INSERT INTO t VALUES (1, 1)")

    def changed() -> bool:
        if ("t",) in story.runs("SELECT name FROM sqlite_master"):
            story.runs("ALTER TABLE t RENAME TO renamed")
        return False

    with story.opened() as file:
        capture.install(file, ["t"], wait=lambda _: None)
        with pytest.raises(SchemaMoved):
            fill_mirrors(file, wait=lambda _: None, stopped=changed)
    story.install()
    story.runs("REPLACE INTO renamed VALUES (2, 1)")
    assert ("r", 1, None) in story.log()
