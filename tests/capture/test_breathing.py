"""A large schema is looked at without shutting the application out for as long as that takes."""

import sqlite3
import subprocess
import sys

import pytest

from cdc.errors import SchemaMoved
from cdc.sqlite import capture, connection
from cdc.sqlite.captures import captured
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.verification import Finding, verify

TABLES = [f"t{i}" for i in range(5)]
INSERT = "INSERT INTO t0 DEFAULT VALUES"


@pytest.fixture
def path(tmp_path):
    """A captured file with a rollback journal, in which a COMMIT waits for readers."""
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as db:
        for name in TABLES:
            db.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v TEXT UNIQUE)")
    with SourceFile(path) as file:
        capture.install(file, TABLES)
    return path


class Application:
    """Another process, which does not wait for a lock."""

    PROGRAM = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
for statement in sys.stdin:
    try:
        db.execute(statement)
        print("done", flush=True)
    except sqlite3.OperationalError as error:
        print(error, flush=True)
"""

    def __init__(self, path):
        command = [sys.executable, "-c", self.PROGRAM, str(path)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def run(self, statement):
        self._process.stdin.write(statement + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self):
        self._process.communicate()


@pytest.fixture
def writer(path):
    application = Application(path)
    yield application
    application.end()


class Gap:
    """A connection that hands out its moment without a transaction."""

    def __init__(self, own, then):
        self._own = own
        self._then = then

    def __getattr__(self, name):
        return getattr(self._own, name)

    def execute(self, statement, *bindings):
        result = self._own.execute(statement, *bindings)
        if statement == "ROLLBACK":
            self._then()
        return result


def test_a_writer_is_let_in_between_two_tables(path, writer, monkeypatch):
    """Where the lock was held for long; all tables are found all the same."""
    monkeypatch.setattr(connection, "BREATH_SECONDS", 0)
    answers = []
    with SourceFile(path) as file:

        def breathe():
            answers.append(writer.run(INSERT))
            with monkeypatch.context() as patch:
                gap = Gap(file._connection, lambda: answers.append(writer.run(INSERT)))
                patch.setattr(file, "_connection", gap)
                file.breathe()

        with file.reading():
            file.query("SELECT * FROM t0").fetchall()
            found = verify(file, TABLES, breathe=breathe)
            tables = captured(file, breathe=breathe)
    assert set(found.values()) == {Finding.INTACT}
    assert [each.name for each in tables] == TABLES
    assert answers == ["database is locked", "done"] * (2 * len(TABLES))


def test_a_short_look_holds_its_moment(path, writer):
    """It is one transaction as long as that does no harm."""
    with SourceFile(path) as file, file.reading():
        file.query("SELECT * FROM t0").fetchall()
        file.breathe()
        assert writer.run(INSERT) == "database is locked"


def test_a_schema_that_moves_meanwhile_is_noticed(path, writer, monkeypatch):
    """What was found out before is of no use then."""
    monkeypatch.setattr(connection, "BREATH_SECONDS", 0)
    answers = []
    with SourceFile(path) as file, file.reading():
        file.query("SELECT * FROM t0").fetchall()
        migrate = "ALTER TABLE t1 ADD COLUMN more"
        with monkeypatch.context() as patch:
            gap = Gap(file._connection, lambda: answers.append(writer.run(migrate)))
            patch.setattr(file, "_connection", gap)
            with pytest.raises(SchemaMoved):
                file.breathe()
    assert answers == ["done"]


def test_what_is_asked_once_is_asked_again_later(path):
    """Only as long as the schema is at rest."""
    asked = []

    def ask(file):
        asked.append(file)
        return len(asked)

    with SourceFile(path) as file, file.reading():
        with file.at_rest():
            assert (file.once(ask), file.once(ask)) == (1, 1)
            with file.at_rest():
                assert file.once(ask) == 1
        assert (file.once(ask), file.once(ask)) == (2, 3)
