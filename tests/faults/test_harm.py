"""The legacy system is not harmed: no lock of ours lasts, and no writer waits in vain."""

import time
from contextlib import contextmanager

import apsw
import pytest

from cdc.sqlite import replica
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lock import holder
from tests.support.waiting import wait_until

LARGE = """
CREATE TABLE prices (at INTEGER PRIMARY KEY, price REAL, words TEXT);
INSERT INTO prices
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80000)
SELECT i, i / 7.0, 'tick ' || i FROM n;
"""

TRADE_MANAGER = ("--timeout", 0.25, "--journal", "DELETE", "--pause", 0.003, "--keys", 300)
"""It waits only a quarter second for a lock, in rollback-journal mode."""

READER = ("--timeout", 0.25, "--journal", "DELETE", "--pause", 0.002, "--read")

COMMITS = 400

FEWER = 150

ROUNDS = 3
"""On a machine with other work a writer meets a lock now and then, whoever stood in its way."""


def commit(
    site,
    writer_seed,
    while_running=lambda: True,
    *,
    commits=COMMITS,
    beside=lambda: None,
    name="shop.db",
):
    """Let a writer beside two readers commit for a while; how often each met a lock."""
    writer = site.storm(*TRADE_MANAGER, "--seed", writer_seed, name=name)
    readers = [site.storm(*READER, name=name) for _ in range(2)]
    start = newest(site, name)

    def enough():
        beside()
        return newest(site, name) - start >= commits and while_running()

    wait_until(enough, 120)
    reports = [each.stop() for each in (writer, *readers)]
    assert [report.errors for report in reports] == [[], [], []]
    return sum(report.locked for report in reports)


def newest(site, name):
    known = site.sqlite("SELECT 1 FROM sqlite_schema WHERE name = 'journal'", name=name)
    return site.sqlite("SELECT coalesce(max(n), 0) FROM journal", name=name)[0][0] if known else 0


def test_impatient_writer_meets_no_more_locks_than_without_us(site):
    """A writer that waits 0.25 s gets no `database is locked` from us, in the copy and after it."""
    for number in range(ROUNDS):
        name = f"shop{number}.db"
        site.sqlite(LARGE, name=name)
        without = commit(site, "without", name=name)
        site.configure(name, schema=f"round{number}")
        daemon = site.start()
        during = commit(site, "during", lambda daemon=daemon: daemon.said("tailing"), name=name)
        after = commit(site, "after", name=name)
        site.wait_until_equal(daemon=daemon)
        assert daemon.stop() == 0
        if max(during, after) <= without:
            return
    raise AssertionError("each time we cost the writer a lock")


class Stopwatch:
    """How long each transaction of ours held SQLite's lock: in seconds, by the clock and by the
    processor time of its thread, which a busy machine does not lengthen."""

    def __init__(self):
        self.reads = []
        self.writes = []

    def attach(self, monkeypatch):
        reading, write_once = SourceFile.reading, SourceFile._write_once

        @contextmanager
        def timed_reading(file):
            with self.time(self.reads), reading(file):
                yield

        def timed_write(file, work):
            with self.time(self.writes):
                return write_once(file, work)

        monkeypatch.setattr(SourceFile, "reading", timed_reading)
        monkeypatch.setattr(SourceFile, "_write_once", timed_write)
        return self

    @contextmanager
    def time(self, durations):
        clock, processor = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            durations.append((time.monotonic() - clock, time.thread_time() - processor))


@pytest.mark.parametrize("bound_ms", [10, 50])
def test_no_transaction_of_ours_outlasts_the_lock_bound(site, monkeypatch, bound_ms):
    """Copy, catch-up and filling of the mirrors all give the lock back within the bound."""
    site.sqlite(LARGE)
    site.sqlite("CREATE UNIQUE INDEX by_words ON prices (words)")
    site.configure(lock_bound_ms=bound_ms)
    watch = Stopwatch().attach(monkeypatch)
    site.catch_up()
    site.sqlite("UPDATE prices SET price = -price WHERE at % 2")
    site.sqlite("DELETE FROM prices WHERE at % 5 = 0")
    site.catch_up()
    monkeypatch.undo()
    site.assert_equal()
    assert len(watch.reads) > 20
    # Python's garbage collector may fall into a transaction; beside pytest it has much to do.
    bound = max(bound_ms / 1000, 0.05)
    for durations in (watch.reads, watch.writes):
        assert max(processor for _, processor in durations) < bound * 2
        # Other processes of a busy machine take their time too, but not most of the time.
        by_clock = sorted(clock for clock, _ in durations)
        assert by_clock[len(by_clock) * 9 // 10] < bound * 2


def test_impatient_writer_meets_no_more_locks_beside_a_copy_of_its_file(site):
    """Copies of the live file, one after another, cost it nothing either."""
    site.sqlite(LARGE)
    site.configure()
    copies = []

    def copy():
        copies.append(site.folder / f"copy-{len(copies)}.db")
        with SourceFile(site.file()) as file:
            assert replica.make(file, copies[-1], lock_bound_seconds=0.05, log_from=None)

    site.storm(*TRADE_MANAGER, "--commits", 1).stop()  # makes its tables
    assert site.cdc("install").code == 0
    for _ in range(ROUNDS):
        without = commit(site, "without", commits=FEWER)
        if commit(site, "beside", commits=FEWER, beside=copy) <= without:
            return
    raise AssertionError("each time the copies cost the writer a lock")


def test_copy_of_a_file_never_outlasts_the_lock_bound(site, monkeypatch):
    """However large a table is, captured or not."""
    site.sqlite(LARGE)
    site.configure()
    assert site.cdc("install").code == 0
    site.sqlite("CREATE TABLE more AS SELECT * FROM prices")
    watch = Stopwatch().attach(monkeypatch)
    with SourceFile(site.file()) as file:
        assert replica.make(file, site.folder / "copy.db", lock_bound_seconds=0.05, log_from=None)
    monkeypatch.undo()
    assert len(watch.reads) > 10
    assert max(processor for _, processor in watch.reads) < 0.1
    by_clock = sorted(clock for clock, _ in watch.reads)
    assert by_clock[len(by_clock) // 2] < 0.1


SHAPES = {
    "integer key": "(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c REAL)",
    "unique column": "(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER, c REAL)",
    "two unique sets": "(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER, c REAL, UNIQUE (b, c))",
    "text key": "(id INTEGER, a TEXT PRIMARY KEY, b INTEGER UNIQUE, c REAL)",
    "loose key": "(id INTEGER, a TEXT COLLATE NOCASE PRIMARY KEY, b INTEGER UNIQUE, c REAL)",
    "composite key": "(id INTEGER, a TEXT, b INTEGER, c REAL, PRIMARY KEY (b, a), UNIQUE (c, b))",
    "without rowid": "(id INTEGER, a TEXT, b INTEGER, c REAL UNIQUE, PRIMARY KEY (a, b))"
    " WITHOUT ROWID",
    "no key": "(id INTEGER, a TEXT, b INTEGER UNIQUE, c REAL)",
    "key without a type": "(id UNIQUE, a PRIMARY KEY, b UNIQUE, c)",
}

WRITES = (
    "INSERT INTO t VALUES (-1, 'new', -1, -1.5)",
    "INSERT OR REPLACE INTO t VALUES (-2, 'row 7', -2, -2.5)",
    "UPDATE t SET c = c + 0.25 WHERE id = 5",
    "UPDATE t SET a = a || '!', b = -b WHERE id = 5",
    "DELETE FROM t WHERE id = 5",
)


@pytest.mark.parametrize("shape", SHAPES)
def test_cost_of_a_write_does_not_grow_with_the_table(site, shape):
    """What the triggers add to a write is the same for ten times as many rows."""
    for rows in (300, 3000):
        site.sqlite(
            f"CREATE TABLE t {SHAPES[shape]}; CREATE INDEX by_id ON t (id);"
            f"CREATE UNIQUE INDEX p ON t (c) WHERE b > 10; CREATE UNIQUE INDEX e ON t (lower(a));"
            "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i < {rows}) SELECT i, 'row ' || i, i, i / 7.0 FROM n",
            name=f"t{rows}.db",
        )
    site.configure("t300.db", "t3000.db")
    assert site.cdc("install").code == 0
    few, many = (effort(site, name) for name in ("t300.db", "t3000.db"))
    for write in WRITES:
        # A search in a larger tree takes a step more, a scan ten times as many.
        assert many[write] < few[write] * 1.5, write


def effort(site, name):
    """The steps that each write makes SQLite's machine take, with those of its triggers."""
    steps = {}

    def note(event):
        steps[event["sql"]] = event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    with site.connection(name) as db:
        db.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
        for write in WRITES:
            db.execute(write)
    assert steps.keys() >= set(WRITES)
    return steps


def test_stop_beside_a_file_that_is_locked(site):
    """A legacy transaction that lasts holds up neither the stop, nor anything but our own work."""
    site.sqlite("PRAGMA journal_mode = DELETE; CREATE TABLE t (id INTEGER PRIMARY KEY)")
    site.configure()
    daemon = site.daemon()
    with site.connection() as db:
        db.execute("BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)")
        daemon.wait_for("waiting")
        assert "is locked" in daemon.said("waiting")[0]["message"]
        assert daemon.stop(seconds=15) == 0
        db.execute("COMMIT")
    site.catch_up()
    site.assert_equal()


def test_stop_while_the_capture_waits_for_its_turn(site):
    """Before anything is installed, too: the stop does not wait for a gap between transactions."""
    site.sqlite("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY)")
    site.configure()
    with site.connection() as db:
        db.execute("BEGIN IMMEDIATE")
        daemon = site.start()
        daemon.wait_until(lambda: holder(site.file()))
        assert daemon.stop(seconds=15) == 0
    assert site.sqlite("SELECT count(*) FROM sqlite_schema") == [(1,)]


def test_locked_file_is_waited_for(site):
    """A file that is locked for a while is no failure."""
    site.sqlite("PRAGMA journal_mode = DELETE; CREATE TABLE t (id INTEGER PRIMARY KEY)")
    site.configure()
    daemon = site.daemon()
    with site.connection() as db:
        db.execute("BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)")
        daemon.wait_for("waiting")
        db.execute("COMMIT")
    site.wait_until_equal(daemon=daemon)
    assert daemon.stop() == 0
