"""What the log says of one change at a time, and what it leaves unsaid."""

import pytest

from cdc.sqlite.captures import captured
from cdc.sqlite.connection import SourceFile

from .conftest import Story

POSITIONS = "CREATE TABLE positions (id INTEGER PRIMARY KEY AUTOINCREMENT, ticker TEXT, n)"
ONE_PER_TICKER = "CREATE UNIQUE INDEX positions_ticker ON positions (ticker)"


def last(log: list[tuple], count: int) -> list[tuple]:
    return log[-count:]


def test_an_insert_or_replace_tells_of_the_row_that_it_evicts(story: Story) -> None:
    """Each write of a ticker silently deletes the old id; the log deletes it aloud."""
    story.runs(POSITIONS, ONE_PER_TICKER, "INSERT INTO positions (ticker, n) VALUES ('A', 1)")
    story.install()
    story.runs("INSERT OR REPLACE INTO positions (ticker, n) VALUES ('A', 2)")
    assert story.log() == [("r", 1, None, None), ("i", 2, "A", 2)]
    story.runs("REPLACE INTO positions (id, ticker, n) VALUES (2, 'B', 3)")
    assert last(story.log(), 1) == [("i", 2, "B", 3)]
    story.runs("UPDATE positions SET id = 5")
    assert last(story.log(), 2) == [("k", 2, None, None), ("u", 5, "B", 3)]
    story.runs("DELETE FROM positions")
    assert last(story.log(), 1) == [("d", 5, None, None)]


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR IGNORE INTO positions (ticker, n) VALUES ('A', 2)",
        "INSERT INTO positions (ticker, n) VALUES ('A', 2) ON CONFLICT DO NOTHING",
        "UPDATE positions SET n = 3 WHERE ticker = 'unknown'",
        "UPDATE OR IGNORE positions SET ticker = 'A' WHERE ticker = 'B'",
        "DELETE FROM positions WHERE ticker = 'unknown'",
    ],
)
def test_a_statement_that_changes_nothing_writes_nothing(
    story: Story, journal: str, statement: str
) -> None:
    """An ignored insert of a known row is no commit: the file and its WAL stay byte for byte.

    (With AUTOINCREMENT it is one for SQLite itself, which counts the number that was not used.)
    """
    story.runs(
        f"PRAGMA journal_mode = {journal}",
        POSITIONS.replace("AUTOINCREMENT", ""),
        ONE_PER_TICKER,
    )
    story.install()
    story.runs("INSERT INTO positions (ticker, n) VALUES ('A', 1), ('B', 1)", "PRAGMA data_version")
    files = [path for path in story.path.parent.iterdir() if not path.name.endswith("-shm")]
    before = {path: path.read_bytes() for path in files}
    with story.opened() as file:
        version = file.data_version
        story.runs(statement, statement)
        assert file.data_version == version
    assert {path: path.read_bytes() for path in files} == before
    assert len(story.events()) == 2


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_image_is_the_row_as_the_trigger_of_the_application_leaves_it(
    story: Story, moment: str
) -> None:
    """An updated_at trigger fires before ours or after ours; the last image has its stamp."""
    trigger = (
        "CREATE TRIGGER stamp AFTER UPDATE ON t BEGIN"
        " UPDATE t SET updated_at = NEW.updated_at + 1 WHERE id = NEW.id; END"
    )
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a, updated_at)")
    if moment == "before":
        story.runs(trigger)
    story.install()
    if moment == "after":
        story.runs(trigger)
    story.runs("INSERT INTO t VALUES (1, 'x', 1)", "UPDATE t SET a = 'y'")
    assert last(story.log(), 1) == [("u", 1, "y", 2)]


def test_every_write_of_a_refused_transaction_leaves_no_event(story: Story) -> None:
    """The event commits with the change or not at all."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)")
    story.install()
    story.runs("BEGIN", "INSERT INTO t VALUES (1, 1)", "SAVEPOINT s")
    story.runs("INSERT OR REPLACE INTO t VALUES (2, 1)", "ROLLBACK TO s", "COMMIT")
    story.runs("BEGIN", "DELETE FROM t", "ROLLBACK")
    assert story.tries("INSERT INTO t VALUES (3, 3), (4, 3)")[0].error
    assert story.log() == [("i", 1, 1)]


def test_a_row_without_a_key_is_logged_for_all_to_see(story: Story) -> None:
    """A NULL in a declared key has no place in PostgreSQL: the row is told of, not passed over."""
    story.runs("CREATE TABLE t (k TEXT PRIMARY KEY, a)")
    story.install()
    story.runs("INSERT INTO t VALUES (NULL, 1)")
    assert story.log() == [("i", None, 1)]
    story.runs("UPDATE t SET k = 'x'", "UPDATE t SET k = NULL")
    assert last(story.log(), 3) == [("u", "x", 1), ("k", "x", None), ("u", None, 1)]


def test_a_file_that_is_attached_is_captured_like_any_other(story: Story, tmp_path) -> None:
    """Triggers name the tables of their own file, under whatever name it goes."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)")
    story.install()
    story.runs("ATTACH ':memory:' AS other", "CREATE TABLE other.t (id, a)")
    story.runs(f"ATTACH '{story.path}' AS again", "INSERT INTO again.t VALUES (1, 1)")
    story.runs("INSERT INTO other.t VALUES (7, 7)", "REPLACE INTO again.t VALUES (2, 1)")
    assert story.log() == [("i", 1, 1), ("r", 1, None), ("i", 2, 1)]


def test_a_view_that_writes_is_captured_at_its_tables(story: Story) -> None:
    """INSTEAD OF triggers write tables, and those writes are what is logged."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TRIGGER through INSTEAD OF INSERT ON v BEGIN"
        " INSERT OR REPLACE INTO t VALUES (NEW.id, NEW.a); END",
    )
    story.install()
    story.runs("INSERT INTO v VALUES (1, 1)", "INSERT INTO v VALUES (2, 1)")
    assert story.log() == [("i", 1, 1), ("r", 1, None), ("i", 2, 1)]


@pytest.mark.parametrize(
    "setting",
    [
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "secure_delete = ON",
        "ignore_check_constraints = ON",
        "reverse_unordered_selects = ON",
        "case_sensitive_like = ON",
        "automatic_index = OFF",
    ],
)
def test_nothing_depends_on_the_settings_of_the_writer(story: Story, setting: str) -> None:
    """A capture trigger works the same whatever PRAGMA the application has set."""
    story.runs("CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, a UNIQUE)")
    story.install()
    story.runs(f"PRAGMA {setting}", "INSERT INTO t VALUES ('x', 1), ('y', 2)")
    story.runs("UPDATE OR REPLACE t SET k = 'X', a = 2 WHERE k = 'x'", "DELETE FROM t")
    assert story.log() == [
        ("i", "x", 1),
        ("i", "y", 2),
        ("k", "x", None),
        ("r", "y", None),
        ("u", "X", 2),
        ("d", "X", None),
    ]


def test_words_in_double_quotes_stay_words(story: Story) -> None:
    """An old file may have written a text in double quotes into the WHERE clause of its index."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, status TEXT)",
        'CREATE UNIQUE INDEX one_open ON t (a) WHERE status = "open"',
        "INSERT INTO t VALUES (1, 1, 'open')",
    )
    story.install()
    story.runs("REPLACE INTO t VALUES (2, 1, 'closed')", "REPLACE INTO t VALUES (3, 1, 'open')")
    assert story.log() == [("i", 2, 1, "closed"), ("r", 1, None, None), ("i", 3, 1, "open")]


def test_filling_a_mirror_goes_on_where_it_was_stopped(story: Story) -> None:
    """Stopped between two steps, the mirror is not taken for full; the next run fills it."""
    from cdc.sqlite import capture
    from cdc.sqlite.mirrors import fill_mirrors

    story.runs(
        POSITIONS,
        ONE_PER_TICKER,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " INSERT INTO positions SELECT i, 't' || i, i FROM n",
    )
    with story.opened() as file:
        capture.install(file, ["positions"])
        steps: list[float] = []
        fill_mirrors(file, wait=steps.append, stopped=lambda: len(steps) > 1)
        assert entries(file) < 1000
        fill_mirrors(file, wait=lambda _: None)
        assert entries(file) == 1000
    story.runs("REPLACE INTO positions VALUES (2000, 't999', 0)")
    assert story.log() == [("r", 999, None, None), ("i", 2000, "t999", 0)]


def entries(file: SourceFile) -> int:
    (capture,) = captured(file)
    return int(file.query(f"SELECT count(*) FROM _cdc_mirror_{capture.layout}").get)
