"""The write lock: SQLite itself refuses, whoever writes and however."""

import json

import apsw
import pytest

from cdc.errors import SourceError
from cdc.sqlite import capture, freeze, introspect
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.moves import application_schema
from cdc.sqlite.verification import Finding, verify

from .conftest import captured

SCHEMA = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT UNIQUE, boss INTEGER
    REFERENCES staff (id) ON DELETE CASCADE);
INSERT INTO staff VALUES (1, 'Ann', NULL), (2, 'Bob', 1);
CREATE TABLE "it's ""odd"" " (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE visits (page TEXT);
INSERT INTO visits VALUES ('home');
CREATE TABLE log (line TEXT);
CREATE VIEW names AS SELECT name FROM staff;
CREATE TRIGGER hire INSTEAD OF INSERT ON names BEGIN
    INSERT INTO staff (name) VALUES (NEW.name); END;
CREATE TRIGGER line AFTER INSERT ON log BEGIN UPDATE staff SET name = name || '!'; END;
"""

WRITES = [
    "INSERT INTO staff VALUES (3, 'Cy', NULL)",
    "INSERT OR IGNORE INTO staff VALUES (3, 'Cy', NULL)",
    "INSERT OR REPLACE INTO staff VALUES (1, 'Bob', NULL)",
    "INSERT INTO staff VALUES (1, 'Cy', NULL) ON CONFLICT DO UPDATE SET name = 'Cy'",
    "UPDATE staff SET name = 'Di' WHERE id = 1",
    "UPDATE OR IGNORE staff SET id = 9 WHERE id = 1",
    "DELETE FROM staff WHERE id = 1",
    "DELETE FROM staff",
    "INSERT INTO names VALUES ('Ed')",
    "INSERT INTO log VALUES ('x')",
    """INSERT INTO "it's ""odd"" " VALUES ('a', 'b')""",
]

PASSING = [
    "SELECT * FROM staff",
    "UPDATE staff SET name = '' WHERE false",
    "INSERT INTO other VALUES (1)",
    "CREATE TABLE more (a)",
    "DROP TABLE visits",
]


@pytest.fixture
def path(tmp_path):
    """A captured file with tables of several kinds, but for `other` and `log`."""
    made = captured(tmp_path / "legacy.db", SCHEMA)
    with SourceFile(made) as file:
        capture.uninstall(file, ["log"])
        file.write(lambda: file.query("CREATE TABLE other (a)"))
    return made


def query(path, statement):
    with SourceFile(path) as file, file.reading():
        return list(file.query(statement))


def change(path, statement):
    with SourceFile(path) as file:
        file.write(lambda: list(file.query(statement)))


def test_every_kind_of_write_is_refused_with_the_reason(path, service):
    """Conflict clauses, views and the application's triggers are no way around it."""
    before = query(path, "SELECT * FROM staff")
    with SourceFile(path) as file:
        assert freeze.freeze(file, "it's the cutover")
    legacy = service(path)
    for statement in WRITES:
        error = legacy(statement).error
        assert error.startswith("IntegrityError: cdc froze "), (statement, error)
        assert error.endswith(" UTC: it's the cutover")
    assert query(path, "SELECT * FROM staff") == before


def test_a_cascade_is_refused(tmp_path, service):
    """A foreign key action on a captured table fails with the statement that set it off."""
    path = captured(
        tmp_path / "legacy.db",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES parent ON DELETE CASCADE);"
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)",
    )
    with SourceFile(path) as file:
        capture.uninstall(file, ["parent"])
        freeze.freeze(file, "held")
    assert "cdc froze child" in service(path)("DELETE FROM parent").error
    assert query(path, "SELECT count(*) FROM parent") == [(1,)]


@pytest.mark.parametrize("statement", PASSING)
def test_what_a_freeze_does_not_hold_back(statement, path, service):
    """Reading, statements without a row, tables that are not captured, and DDL."""
    with SourceFile(path) as file:
        freeze.freeze(file, "held")
    assert service(path)(statement).error == ""


def test_a_thaw_leaves_the_schema_as_it_was(path, service):
    """Writes pass again, and nothing of the freeze is left but the count of our own moves."""
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name <> '_cdc_moves'"
    before = query(path, schema)
    with SourceFile(path) as file:
        assert freeze.freeze(file, "held")
        assert freeze.thaw(file)
        assert not freeze.thaw(file)
    assert query(path, schema) == before
    assert service(path)("INSERT INTO staff VALUES (3, 'Cy', NULL)").error == ""


def test_a_second_freeze_keeps_the_first_reason_and_adds_what_is_missing(path, service):
    """A table that the application has rebuilt takes writes, is named, and can join the others."""
    with SourceFile(path) as file:
        freeze.freeze(file, "first")
        assert not freeze.freeze(file, "second")
        change(path, "DROP TABLE visits")
        change(path, "CREATE TABLE visits (page TEXT)")
        with file.reading():
            found = freeze.read(file)
        assert (found.reason, found.complete, found.writable) == ("first", False, ("visits",))
        assert service(path)("INSERT INTO visits VALUES ('x')").error == ""
        assert freeze.freeze(file, "third")
        with file.reading():
            again = freeze.read(file)
    assert (again.reason, again.since, again.writable) == ("first", found.since, ())
    assert service(path)("INSERT INTO visits VALUES ('x')").error.endswith(": first")


def test_it_is_no_change_of_the_schema_to_the_capture(path):
    """Verification finds every capture intact, and the application's schema where it was."""
    with SourceFile(path) as file:
        with file.reading():
            before = application_schema(file)
            names = [n for n in introspect.table_names(file) if n not in {"log", "other"}]
        freeze.freeze(file, "held")
        for _ in range(2):
            with file.reading():
                assert application_schema(file) == before
                assert set(verify(file, names).values()) == {Finding.INTACT}
            freeze.thaw(file)
        change(path, "CREATE INDEX by_boss ON staff (boss)")
        with file.reading():
            assert application_schema(file) == before + 1


def test_uninstalling_removes_it(path, service):
    """From one table, or with all else that is ours."""
    with SourceFile(path) as file:
        freeze.freeze(file, "held")
        capture.uninstall(file, ["visits"])
        assert service(path)("INSERT INTO visits VALUES ('x')").error == ""
        assert service(path)("DELETE FROM staff").error
        capture.uninstall(file)
    assert service(path)("DELETE FROM staff").error == ""
    assert query(path, "SELECT name FROM sqlite_schema WHERE name LIKE '%cdc%'") == []


def test_it_gives_way(path, service):
    """Where the legacy system holds its lock, the freeze waits outside and leaves no trace."""
    legacy = service(path)
    legacy("BEGIN IMMEDIATE")
    legacy("UPDATE staff SET name = 'Zoe' WHERE id = 1")
    looks = []

    def wait(seconds):
        looks.append(seconds)
        assert legacy("COMMIT").error == ""

    with SourceFile(path) as file:
        assert freeze.freeze(file, "held", wait=wait)
    assert len(looks) == 1
    assert query(path, "SELECT name FROM staff WHERE id = 1") == [("Zoe",)]


def test_only_a_connection_of_ours_passes(path):
    """With its triggers switched off a connection writes, and neither capture nor freeze acts."""
    with SourceFile(path) as file:
        freeze.freeze(file, "held")
        with pytest.raises(SourceError, match="cdc froze staff"):
            file.write(lambda: file.query("DELETE FROM staff"))
    with SourceFile(path, without_triggers=True) as file:
        file.write(lambda: file.query("DELETE FROM staff WHERE id = 1"))
    assert query(path, "SELECT id FROM staff") == [(2,)], "a foreign key would have deleted it, too"
    assert query(path, "SELECT count(*) FROM _cdc_changelog") == [(0,)]


def test_without_a_capture_there_is_nothing_to_freeze(tmp_path):
    db = apsw.Connection(str(tmp_path / "plain.db"))
    db.execute("CREATE TABLE t (a)")
    db.close()
    with (
        SourceFile(tmp_path / "plain.db") as file,
        pytest.raises(SourceError, match="no captured table"),
    ):
        freeze.freeze(file, "held")


def test_a_running_daemon_takes_no_notice(site):
    """No session ends and nothing is copied again, not even a table whose rowid is its key."""
    site.sqlite("CREATE TABLE visits (page TEXT); INSERT INTO visits VALUES ('a'), ('b')")
    site.configure()
    daemon = site.daemon()
    with SourceFile(site.file()) as file:
        freeze.freeze(file, "held")
        site.wait_until_equal(daemon=daemon)
        freeze.thaw(file)
    site.sqlite("INSERT INTO visits VALUES ('c')")
    site.wait_until_equal(daemon=daemon)
    assert not daemon.said("session_ended")
    assert daemon.stop() == 0
    site.catch_up()  # a new start finds nothing to do either
    assert site.copied_rows() == {"visits": 2}
    site.assert_equal()


def test_the_commands(site):
    """They say how each file stands, by words, JSON and exit code; and so do status and lag."""
    for name in ("one.db", "two.db"):
        site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY)", name=name)
    site.configure("one.db", "two.db", own_schemas=True)
    site.cdc("install", "--source", "one")
    outcome = site.cdc("freeze", "--reason", "moving house", "--json")
    assert outcome.code == 3
    assert "no captured table" in outcome.err
    one, two = outcome.json["sources"]
    assert (one["frozen"], one["changed"], one["reason"]) == (True, True, "moving house")
    assert (one["tables"], one["writable"], one["error"]) == (["t"], [], None)
    assert (two["name"], "no captured table" in two["error"]) == ("two", True)
    site.cdc("install", "--source", "two")
    assert "was frozen already" in (again := site.cdc("freeze")).err
    assert again.code == 0
    status = site.cdc("status", "--json").json["sources"]
    assert status[0]["freeze"]["reason"] == "moving house"
    assert "moving house" in site.cdc("status").out
    assert [each["frozen"] for each in site.cdc("lag", "--json").json["sources"]] == [True, True]
    assert site.cdc("thaw", "--source", "one").code == 0
    assert site.cdc("thaw").err == "one: was not frozen.\ntwo: takes writes again.\n"
    assert site.cdc("freeze", "--reason", "two\nlines").code == 2
    assert json.loads(site.cdc("thaw", "--json").out)["sources"][0]["changed"] is False
