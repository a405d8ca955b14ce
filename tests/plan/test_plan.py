"""`cdc plan` looks, and does nothing else."""

import os
import time
from contextlib import contextmanager

import pytest

from cdc.plan.making import Selection, make_plans
from cdc.plan.target import KnownTarget
from cdc.sqlite.connection import SourceFile

LARGE = """
CREATE TABLE prices (at INTEGER PRIMARY KEY, price REAL, words TEXT);
INSERT INTO prices
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80000)
SELECT i, i / 7.0, 'tick ' || i FROM n;
"""

SHOP = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT NOT NULL, since TEXT);
INSERT INTO staff VALUES (1, 'Ada', '2025-11-02'), (2, 'Bo', '2025-11-03');
CREATE TABLE visits (page TEXT);
INSERT INTO visits VALUES ('a'), ('b');
CREATE VIEW everybody AS SELECT name FROM staff;
CREATE VIRTUAL TABLE words USING fts5 (text);
CREATE TRIGGER note AFTER INSERT ON staff BEGIN INSERT INTO visits VALUES (NEW.name); END;
"""


ROUNDS = 3
"""On a machine with other work a writer meets a lock now and then, whoever stood in its way."""


@pytest.fixture
def shop(site):
    site.sqlite(SHOP)
    site.configure()
    return site


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_plan_writes_nothing(shop, mode):
    """Neither the file, nor anything beside it, nor PostgreSQL changes."""
    shop.sqlite(f"PRAGMA journal_mode = {mode}")
    before = listing(shop.folder)
    assert shop.cdc("plan").code == 0
    assert listing(shop.folder) == before
    assert shop.postgres("SELECT 1 FROM pg_namespace WHERE nspname = 'cdc'") == []


def test_report_tells_what_there_is(shop):
    """Every table and column, and all that does not reach PostgreSQL."""
    shop.configure(more='exclude = ["nothing"]')
    outcome = shop.cdc("plan")
    for words in (
        "staff → public.staff  2 rows, key id",
        "dates 2025-11-02 to 2025-11-03",
        "visits → public.visits  2 rows, no key, told apart by",
        "VACUUM may renumber",
        "everybody is a view",
        "words is a virtual table",
        "Trigger note on staff stays in SQLite",
        "DROP COLUMN",
        "total_changes()",
        "All fits: 2 tables, 4 rows",
    ):
        assert words in outcome.out
    assert outcome.err == ""


def test_json_keeps_its_contract(shop):
    """These keys are parsed by others: added to freely, never renamed."""
    outcome = shop.cdc("plan", "--json")
    report = outcome.json
    assert report.keys() >= {"fits", "target_not_asked", "sources"}
    [source] = report["sources"]
    assert source.keys() >= {
        "name", "path", "problems", "tables", "excluded", "not_captured", "triggers"
    }  # fmt: skip
    staff, visits = source["tables"]
    assert staff == staff | {
        "name": "staff", "target": "public.staff", "rows": 2, "key": ["id"], "copied": False
    }  # fmt: skip
    assert visits["key_is_rowid"]
    since = staff["columns"][2]
    assert since == since | {"name": "since", "target": "since", "type": "text", "misfits": 0}
    assert since["seen"] == since["seen"] | {"texts": 2, "longest_text": 10, "forms": {"date": 2}}
    assert (outcome.err, report["target_not_asked"]) == ("", None)


def test_selection(shop):
    """One table, whatever the case of its name; one source; what is not there is wrong usage."""
    [source] = shop.cdc("plan", "--table", "STAFF", "--json").json["sources"]
    assert [table["name"] for table in source["tables"]] == ["staff"]
    for arguments in (("--table", "missing"), ("--source", "missing")):
        outcome = shop.cdc("plan", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "missing" in outcome.err


def test_postgres_need_not_be_there(shop):
    """The plan is made from the files; what could not be checked is said."""
    shop.configure(dsn="postgresql://me@127.0.0.1:1/nowhere")
    outcome = shop.cdc("plan")
    assert outcome.code == 0
    assert "PostgreSQL was not asked" in outcome.err
    assert shop.cdc("plan", "--json").json["target_not_asked"]


def test_embedded_server_is_not_made(shop):
    """Not even a folder for it."""
    shop.configure(dsn="embedded")
    assert shop.cdc("plan").code == 0
    assert not (shop.folder / ".cdc").exists()


def test_captured_and_copied_file(shop):
    """Once a target is there the plan shows the mapping that it was made with."""
    shop.catch_up()
    shop.sqlite("INSERT INTO staff VALUES (3, X'00', NULL)")
    outcome = shop.cdc("plan", "--json")
    assert outcome.code == 1
    [source] = outcome.json["sources"]
    assert [table["name"] for table in source["tables"]] == ["staff", "visits"]
    assert [table["copied"] for table in source["tables"]] == [True, True]
    assert source["problems"][0]["column"] == "name"
    assert [trigger["name"] for trigger in source["triggers"]] == ["note"]


def test_file_that_may_only_be_read(shop, tmp_path):
    """To look at a file is no reason to ask for the right to write it."""
    shop.file().chmod(0o444)
    outcome = shop.cdc("plan")
    assert outcome.code == 0, outcome.err


def test_hostile_names_and_values(site):
    """Any name and any value are shown as they are, and nothing is taken for markup."""
    site.sqlite(
        'CREATE TABLE "we""ird [red]" ("a b" TEXT, "select" BLOB, "é\n" ANY);'
        "INSERT INTO \"we\"\"ird [red]\" VALUES ('[bold]x[/bold]', X'00', 1e999)"
    )
    site.sqlite("CREATE TABLE empty (id INTEGER PRIMARY KEY, v)")
    site.configure()
    outcome = site.cdc("plan")
    assert outcome.code == 0, outcome.err
    assert 'we"ird [red]' in outcome.out
    assert site.cdc("plan", "--json").json["sources"][0]["tables"][1]["name"] == 'we"ird [red]'


@pytest.mark.parametrize("bound_ms", [10, 50])
def test_lock_bound_holds_while_looking(site, monkeypatch, bound_ms):
    """No read transaction of the plan outlasts the bound."""
    site.sqlite(LARGE)
    site.configure(lock_bound_ms=bound_ms)
    durations = []
    reading = SourceFile.reading

    @contextmanager
    def timed(file):
        clock, processor = time.monotonic(), time.thread_time()
        try:
            with reading(file):
                yield
        finally:
            durations.append((time.monotonic() - clock, time.thread_time() - processor))

    monkeypatch.setattr(SourceFile, "reading", timed)
    [plan] = make_plans(site.config, Selection(), KnownTarget(), lambda *_: lambda *_: None)
    assert plan.tables[0].survey.rows == 80_000
    # Python's garbage collector may fall into a transaction; beside pytest it has much to do.
    bound = max(bound_ms / 1000, 0.05)
    assert max(processor for _, processor in durations) < bound * 2
    by_clock = sorted(clock for clock, _ in durations)
    assert by_clock[len(by_clock) * 9 // 10] < bound * 2


def test_writer_goes_on_beside_the_plan(site):
    """A writer that waits only a quarter second for a lock meets none because of the plan."""
    site.sqlite(LARGE)
    site.configure()
    for _ in range(ROUNDS):
        storm = site.storm(
            "--timeout", 0.25, "--journal", "DELETE", "--pause", 0.003, "--keys", 300, "--seed", "s"
        )
        outcome = site.cdc("plan")
        report = storm.stop()
        assert outcome.code == 0, outcome.err
        assert report.errors == []
        if not report.locked:
            return
    raise AssertionError("each time it met a lock")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(shop, refused):
    """It is told as such."""
    shop.file().chmod(0o000)
    outcome = shop.cdc("plan")
    assert outcome.code == 3
    assert "cannot be opened" in outcome.err
