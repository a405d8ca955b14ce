"""A copy of a live file is what the file was at one moment, whatever was written meanwhile."""

import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc.errors import SchemaMoved, SourceError, SourceReplaced, SourceUnavailable
from cdc.sqlite import freeze, replica, unlogged
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.replica import Replica
from cdc.sqlite.skeleton import skeleton
from cdc.sqlite.verification import Finding

from .conftest import Story
from .legacy import CHECK, Legacy, Shown
from .oracle import Stage, _Capture
from .shapes import SHAPES, Shape, composed
from .workload import INSTALL, Workload, generate

EACH = 1
"""Workloads per shape."""

LONG = 60.0
"""Seconds: only the number of rows ends a read, so that each run is the same."""


class BusyFile(SourceFile):
    """A file to which the application writes whenever we are not reading it."""

    def __init__(self, path: Path, between: Callable[[], object]) -> None:
        self._between = between
        super().__init__(path)

    @contextmanager
    def reading(self) -> Iterator[None]:
        with super().reading():
            yield
        self._between()


class Witness:
    """Runs a workload's steps one by one, and keeps each state that was committed."""

    def __init__(self, path: Path, legacy: Legacy, workload: Workload, steps: list[str]) -> None:
        self._run = lambda step: legacy.run(path, [step], workload.looks)[0]
        self._left = iter(steps)
        self.states: list[Shown] = []
        self.look()

    def look(self) -> None:
        shown = self._run(CHECK).shown
        if shown:
            self.states.append(shown)

    def __call__(self) -> None:
        step = next(self._left, None)
        if step is not None:
            self._run(step)
            self.look()

    def states_at(self, seq: int) -> list[dict[str, list[str]]]:
        return [in_order(shown.tables) for shown in self.states if shown.seq == seq]


def in_order(tables: dict[str, list[tuple]]) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in tables.items()}


def shown_by(path: Path, legacy: Legacy, workload: Workload) -> dict[str, list[str]]:
    legacy.open(path)
    try:
        [sound, outcome] = legacy.run(path, ["PRAGMA integrity_check", CHECK], workload.looks)
        assert sound.rows == [("ok",)]
        assert outcome.shown
        return in_order(outcome.shown.tables)
    finally:
        legacy.close(path)


def make(file: SourceFile, path: Path, log_from: int | None) -> Replica:
    while True:
        try:
            made = replica.make(file, path, lock_bound_seconds=LONG, log_from=log_from)
        except SchemaMoved:
            continue
        assert made
        return made


def check(stage: Stage, workload: Workload, monkeypatch: pytest.MonkeyPatch) -> Replica | None:
    """Copy a file between the steps of a workload; None where it could not be captured whole."""
    at = workload.steps.index(INSTALL)
    rng = random.Random(workload.seed)
    monkeypatch.setattr(replica, "STRETCH_ROWS", rng.choice((1, 2, 5)))
    with stage._file() as path:
        stage.legacy.run(path, [*workload.settings, *workload.steps[:at]])
        guest = _Capture(path, workload)
        guest.install(lambda: None)
        witness = Witness(path, stage.legacy, workload, list(workload.steps[at + 1 :]))
        for _ in range(rng.randrange(10)):
            witness()
        with BusyFile(path, witness) as file:
            position = witness.states[-1].seq
            log_from = rng.choice((None, position))
            copy = path.with_name("copy.db")
            try:
                made = make(file, copy, log_from)
            except SourceError as error:
                # An index by a function of the application's cannot be made anew.
                if "only the application defines" not in str(error):
                    raise
                assert not copy.exists()
                return None
        assert made.unsettled == ()
        assert shown_by(copy, stage.legacy, workload) in witness.states_at(made.end.seq)
        return made


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_shape_is_copied_as_it_was_at_one_moment(
    stage: Stage, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written between any two reads, the copy is a state that was committed when the
    log ended where the copy says: every row, down to the storage classes."""
    for seed in range(EACH):
        check(stage, generate(seed, shape, (seed % 3, 0)), monkeypatch)


def test_shapes_put_together_at_random_are_copied_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds of tables that nobody thought of."""
    made = [
        check(stage, generate(seed, composed(random.Random(seed)), (1, 0)), monkeypatch)
        for seed in range(20)
    ]
    assert sum(each is not None for each in made) > 12


SHOP = (
    "PRAGMA page_size = 1024",
    "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v, u UNIQUE)",
    "CREATE TABLE named (k TEXT PRIMARY KEY, v)",
    "CREATE INDEX by_v ON t (v DESC) WHERE v > 1",
    'CREATE VIEW "a view" AS SELECT * FROM t JOIN gone',
    "CREATE TRIGGER first AFTER DELETE ON named BEGIN SELECT 1; END",
    "CREATE TRIGGER second AFTER DELETE ON named BEGIN SELECT 2; END",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = -8",
    *(f"INSERT INTO t (v, u) VALUES ({i} / 7.0, 'u{i}')" for i in range(9)),
    "DELETE FROM t WHERE id > 7",
    "INSERT INTO named VALUES ('a', 1), (CAST(x'ff' AS TEXT), x'00'), ('c', 'A' || char(0) || 'B')",
    "ANALYZE",
)


def copied(story: Story, between: Callable[[], object] = lambda: None, **wish: object) -> Replica:
    """A copy beside the file; `between` is called between any two reads."""
    with BusyFile(story.path, between) as file:
        options = {"lock_bound_seconds": LONG, "log_from": 0} | wish
        made = replica.make(file, story.path.with_name("copy.db"), **options)
    assert made
    return made


def once(action: Callable[[], object]) -> Callable[[], None]:
    """An action for the first call."""
    todo = [action]
    return lambda: todo.pop()() if todo else None


def query(path: Path, sql: str) -> list[tuple]:
    with SourceFile(path, only_look=True) as file:
        return file.query(sql).fetchall()


HEADER = ("page_size", "encoding", "user_version", "application_id", "schema_version")


def test_schema_and_header_are_the_same(story: Story) -> None:
    """Objects, texts and the order of triggers; what AUTOINCREMENT and ANALYZE remember, too."""
    story.runs(*SHOP)
    story.install()
    made = copied(story)
    for sql in (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name",
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid",
        "SELECT * FROM sqlite_sequence",
        "SELECT * FROM sqlite_stat1",
        "SELECT * FROM _cdc_log",
        "SELECT * FROM _cdc_capture",
        *(f"PRAGMA {setting}" for setting in HEADER),
    ):
        assert query(made.path, sql) == query(story.path, sql), sql


def test_capture_goes_on_in_the_copy(story: Story, legacy: Legacy) -> None:
    """The log has the events from the one asked for on; the triggers and the mirrors work: a row
    that is evicted in the copy leaves its event."""
    story.runs(*SHOP)
    story.install()
    story.runs(*(f"UPDATE t SET v = {i}" for i in range(3)))
    position = len(story.events())
    changes = ("INSERT OR REPLACE INTO t (v, u) VALUES (1, 'u3')", "DELETE FROM named")
    made = copied(story, once(lambda: story.runs(*changes)), log_from=position)
    behind = story.events()[position - 1 :]
    copy = Story(made.path, legacy)
    assert copy.events() == behind
    assert made.end.seq == behind[-1][0]
    assert set(copy.findings("named", "t").values()) == {Finding.INTACT}
    legacy.open(made.path)
    copy.runs("INSERT OR REPLACE INTO t (v, u) VALUES (1, 'u5')")
    legacy.close(made.path)
    assert [op for op, *_ in copy.log()[len(behind) :]] == ["r", "i"]


def test_nothing_of_ours_is_in_a_copy_without_the_capture(story: Story) -> None:
    """Such a copy is what the application's file would be without us."""
    story.runs(*SHOP)
    before = story.schema()
    story.install()
    made = copied(story, log_from=None)
    schema = query(
        made.path,
        "SELECT type, name, tbl_name, sql FROM sqlite_schema"
        " WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name",
    )
    assert schema == before
    assert query(made.path, "SELECT * FROM t") == story.runs("SELECT * FROM t")


def test_rows_without_a_key_are_those_of_the_last_moment(story: Story) -> None:
    """Of rows whose key is NULL the log does not tell which is which: they are read at the end."""
    story.runs("CREATE TABLE t (k TEXT PRIMARY KEY, v, u UNIQUE)")
    story.runs("INSERT INTO t VALUES ('a', 1, 1), (NULL, 2, 2), (NULL, 3, 3), (NULL, 4, 4)")
    story.install()
    changes = ("UPDATE t SET k = 'b' WHERE v = 2", "DELETE FROM t WHERE v = 3")
    made = copied(story, after(4, lambda: story.runs(*changes)))
    rows = query(made.path, "SELECT * FROM t")
    assert rows == story.runs("SELECT * FROM t") == [("a", 1, 1), ("b", 2, 2), (None, 4, 4)]


def after(calls: int, action: Callable[[], object]) -> Callable[[], None]:
    """An action for one of the next calls."""
    todo = [action, *[lambda: None] * calls]
    return lambda: todo.pop()() if todo else None


def test_tables_that_are_not_captured_are_of_the_same_moment(story: Story) -> None:
    """One transaction writes both; the copy has it in both or in neither."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE free (id INTEGER PRIMARY KEY, v)",
        "INSERT INTO t VALUES (1, 0)",
        "INSERT INTO free VALUES (1, 0)",
    )
    story.install("t")
    write = ("BEGIN", "UPDATE t SET v = v + 1", "UPDATE free SET v = v + 1", "COMMIT")
    made = copied(story, lambda: story.runs(*write))
    [(one, other)] = query(made.path, "SELECT t.v, free.v FROM t, free")
    assert one == other > 0


def test_large_tables_that_are_not_captured_stand_still_or_are_named(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that takes many reads is of one moment if two passes find the same; a table that
    changes all the time is copied all the same, and named."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v)" for name in ("still", "moving")),
        *(f"INSERT INTO still VALUES ({i}, {i})" for i in range(20)),
        *(f"INSERT INTO moving VALUES ({i}, {i})" for i in range(20)),
    )
    story.install("t")
    monkeypatch.setattr(unlogged, "STRETCH_ROWS", 5)
    made = copied(story, lambda: story.runs("UPDATE moving SET v = v + 1"))
    assert made.unsettled == ("moving",)
    assert query(made.path, "SELECT * FROM still") == story.runs("SELECT * FROM still")
    assert query(made.path, "SELECT count(*) FROM moving") == [(20,)]


def test_full_text_index_still_finds_its_rows(story: Story) -> None:
    """A virtual table is in the copy with the tables behind it."""
    story.runs(
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE VIRTUAL TABLE words USING fts5(body)",
        "INSERT INTO words VALUES ('how now'), ('brown cow')",
    )
    story.install("t")
    made = copied(story)
    assert query(made.path, "SELECT rowid FROM words WHERE words MATCH 'cow'") == [(2,)]


def test_rowids_that_are_no_column_are_kept(story: Story) -> None:
    """A row keeps its place in the file; one that was added meanwhile goes behind all others."""
    story.runs(
        "CREATE TABLE t (k TEXT PRIMARY KEY, v)",
        "INSERT INTO t (rowid, k) VALUES (10, 'z'), (20, 'y'), (30, 'x')",
    )
    story.install()
    changes = (
        "INSERT INTO t VALUES ('b', 1), ('a', 2)",
        "UPDATE t SET v = 7 WHERE k = 'y'",
        "INSERT OR REPLACE INTO t VALUES ('z', 3)",
    )
    made = copied(story, after(4, lambda: story.runs(*changes)))
    rows = query(made.path, "SELECT rowid, * FROM t")
    assert rows == [(20, "y", 7), (30, "x", None), (31, "b", 1), (32, "a", 2), (33, "z", 3)]
    assert rows == story.runs("SELECT rowid, * FROM t")


def test_freeze_that_comes_meanwhile_is_in_the_copy(story: Story, legacy: Legacy) -> None:
    """The write lock at the end is what counts; it does not make the copy begin again."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    story.install()

    def lock() -> None:
        with story.opened() as file:
            freeze.freeze(file, "for a while")

    made = copied(story, after(4, lock))
    with SourceFile(made.path) as copy, copy.reading():
        found = freeze.read(copy)
    assert found
    assert found.complete
    legacy.open(made.path)
    [outcome] = legacy.run(made.path, ["INSERT INTO t VALUES (2)"])
    legacy.close(made.path)
    assert "for a while" in outcome.error


def test_change_of_the_schema_begins_the_copy_again(story: Story) -> None:
    story.runs(*SHOP)
    story.install()
    made = copied(story, after(3, lambda: story.runs("CREATE TABLE more AS SELECT 1 AS x")))
    assert query(made.path, "SELECT * FROM more") == [(1,)]


def test_nothing_is_left_of_a_copy_that_fails(story: Story) -> None:
    """It fails where events that it needs are pruned, is stopped when asked, and never takes the
    place of another file."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    story.install()
    story.runs("INSERT INTO t VALUES (1), (2), (3)", "DELETE FROM _cdc_changelog WHERE seq < 3")
    path = story.path.with_name("copy.db")
    with pytest.raises(SourceReplaced, match=r"Event 1 of .* was pruned"):
        copied(story, log_from=1)
    assert not path.exists()
    with SourceFile(story.path) as file:
        stopped = replica.make(
            file, path, lock_bound_seconds=LONG, log_from=None, stopped=lambda: True
        )
    assert stopped is None
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(SourceError, match=r"copy\.db cannot be made"):
        copied(story)
    assert path.read_text() == "mine"


def test_file_with_a_gap_in_its_capture_is_refused(story: Story) -> None:
    """What the log does not tell could not be in the copy."""
    story.runs("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with pytest.raises(SourceError, match="is not captured"):
        copied(story)
    story.install()
    story.runs("DROP TRIGGER _cdc_1_insert")
    with pytest.raises(SourceError, match=r'The capture of "t" of .* is not complete'):
        copied(story)


def test_no_temporary_folder_to_work_in(tmp_path, monkeypatch):
    """It is full, or not there: an error that says what to do."""
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with (
        SourceFile(path) as file,
        pytest.raises(SourceUnavailable, match="temporary folder"),
        skeleton(file),
    ):
        pass
