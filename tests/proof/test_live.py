"""The proof of a source that is being written and replicated."""

import threading
from contextlib import contextmanager

import psycopg

from cdc.postgres.connection import Target
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.proof.tables import TableRun
from tests.support.waiting import wait_until

TABLES = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL);"
    "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < 5000) SELECT i, 'row ' || i, i / 3.0 FROM n"
)


class Hot:
    """An application that changes some rows again and again, and inserts and deletes others."""

    def __init__(self, site):
        self.site = site
        self.stop = threading.Event()
        self.rounds = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        with self.site.connection() as db:
            while not self.stop.is_set():
                self.rounds += 1
                db.execute("UPDATE t SET b = b + 1 WHERE id IN (1, 17, 4000)")
                db.execute("INSERT INTO t (a) VALUES ('new'), ('newer')")
                db.execute("DELETE FROM t WHERE id = (SELECT max(id) FROM t)")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def tamper(site, statement):
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SET cdc.session = 'on'")
        conn.execute(statement.encode())


def test_no_false_alarm_beside_writes(site):
    """Rows that change without a pause are in flight, never a difference, and no debt is left."""
    site.sqlite(TABLES)
    site.configure()
    site.daemon()
    with Hot(site) as hot:
        for full in (True, False) * 5:
            before = hot.rounds
            verdict = site.prove(full=full)
            assert verdict.converged, verdict
            wait_until(lambda before=before: hot.rounds > before + 2)


def test_a_difference_in_a_row_that_never_rests_is_found(site):
    """Its next changes leave the tampered column as it is, and it is compared all the same."""
    site.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL); INSERT INTO t VALUES (1, 'a', 0),"
        " (2, 'b', 0)"
    )
    site.configure()
    site.daemon()
    with Hot(site) as hot:
        wait_until(lambda: hot.rounds > 10)
        # Whatever the applier writes to row 17 now, PostgreSQL turns its text into another.
        tamper(
            site,
            "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN IF NEW.id = 1 THEN NEW.a := 'spoilt'; END IF; RETURN NEW; END$$;"
            "CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON public.t FOR EACH ROW"
            " EXECUTE FUNCTION public.spoil();"
            "ALTER TABLE public.t ENABLE ALWAYS TRIGGER spoil",
        )
        now = hot.rounds
        wait_until(
            lambda: (
                hot.rounds > now + 10
                and site.postgres("SELECT a FROM t WHERE id = 1")[0][0] == "spoilt"
            )
        )
        verdict = site.prove(full=True)
    [table] = verdict.sources[0].tables
    assert not verdict.converged
    assert table.different == 1
    [difference] = table.examples
    assert (difference.key, difference.columns[0].target) == (("1",), "'spoilt'")


def test_what_was_not_applied_is_owed(site):
    """Without a daemon the keys that changed since stay uncompared: that is no convergence."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    site.sqlite("UPDATE t SET a = 'later' WHERE id <= 3; DELETE FROM t WHERE id = 9")
    verdict = site.prove(full=True)
    assert not verdict.converged
    [source] = verdict.sources
    assert (source.in_flight, source.tables[0].differences) == (4, 0)
    assert source.captured_seq == source.applied_seq + 4
    site.catch_up()
    assert site.prove(full=True).converged


def test_what_was_not_applied_is_owed_by_what_is_kept(site):
    """A row that rests on an earlier proof is no more equal than another while its change waits."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    assert site.prove().converged
    site.sqlite("UPDATE t SET a = 'later' WHERE id <= 3")
    verdict = site.prove()
    assert not verdict.converged
    assert (verdict.sources[0].in_flight, verdict.sources[0].tables[0].ranges) == (3, 0)
    site.catch_up()
    assert site.prove().converged


def test_only_what_was_touched_is_compared_again(site):
    """The log names it; the rest is as it was proven."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    assert site.prove().converged
    site.sqlite("UPDATE t SET a = 'changed' WHERE id IN (5, 500); DELETE FROM t WHERE id = 77")
    site.catch_up()
    verdict = site.prove()
    [table] = verdict.sources[0].tables
    assert verdict.converged
    assert (table.ranges, table.kept_rows) == (0, 5000)
    tamper(site, "UPDATE public.t SET a = 'tampered' WHERE id = 5")
    assert site.prove().converged  # it rests on the guard, and says so
    assert not site.prove(full=True).converged
    assert not site.prove().converged  # a range that differed is not kept


def test_how_much_is_left_is_known_from_the_start(site, monkeypatch):
    """Of all tables, the later ones too; what is kept is not counted as work."""
    site.sqlite(TABLES)
    site.sqlite("CREATE TABLE u (id INTEGER PRIMARY KEY); INSERT INTO u SELECT id FROM t")
    site.configure()
    site.catch_up()
    proofs, seen = [], []
    prove_table = TableRun.run

    def look_and_prove(self, *arguments, **options):
        seen.append(proofs[0].progress)
        prove_table(self, *arguments, **options)
        seen.append(proofs[0].progress)

    @contextmanager
    def watch(begun):
        proofs[:] = begun
        yield

    monkeypatch.setattr(TableRun, "run", look_and_prove)
    site.prove(full=True, watch=watch)
    assert seen == [(0, 10000), (5000, 10000), (5000, 10000), (10000, 10000)]
    seen.clear()
    site.prove(watch=watch)
    assert seen == [(0, 10000), (0, 5000), (0, 5000), (0, 0)]


def test_three_connections_are_enough(site, monkeypatch):
    """One that keeps others from proving, one for a range, and one to open the next or to save."""
    monkeypatch.setattr("cdc.proof.table.FIRST_RANGE", 100)
    monkeypatch.setattr("cdc.proof.tables.SAVE_SECONDS", 0.0)
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    with Target(site.dsn, max_connections=3, lease_timeout_seconds=5.0) as target:
        assert prove(site.config, target, Request(full=True)).converged


def test_what_is_applied_while_a_proof_begins_is_not_forgotten(site, monkeypatch):
    """The log was read up to one position; only up to there can what is kept be moved on."""
    site.sqlite(TABLES)
    site.configure()
    site.catch_up()
    assert site.prove().converged
    prove_table = TableRun.run

    def apply_and_prove(self, *arguments, **options):
        site.sqlite("UPDATE t SET a = 'meanwhile' WHERE id = 5")
        site.catch_up()
        tamper(site, "UPDATE public.t SET a = 'tampered' WHERE id = 5")
        prove_table(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TableRun, "run", apply_and_prove)
        site.prove()
    [table] = site.prove().sources[0].tables
    assert table.different == 1


HARD_KEYS = [
    "",
    "NULL",
    "null",
    '"',
    "\\",
    '\\"',
    "{",
    "}",
    "{a,b}",
    ",",
    "'",
    " a ",
    "a\nb",
    "é",
    "%s",
]


def test_keys_with_any_character_are_looked_up(site):
    """What the log names is found in PostgreSQL by its key, whatever that holds."""
    site.sqlite("CREATE TABLE t (k TEXT, n INTEGER, v TEXT, PRIMARY KEY (k, n)) WITHOUT ROWID")
    with site.connection() as db:
        rows = [(k, n) for k in HARD_KEYS for n in (1, 2)]
        rows += [(f"filler {i}", i) for i in range(1000)]
        db.executemany("INSERT INTO t VALUES (?, ?, 'x')", rows)
    site.configure()
    site.catch_up()
    assert site.prove().converged
    site.sqlite("UPDATE t SET v = 'y' WHERE n = 1")
    site.catch_up()
    assert site.prove().converged
    site.sqlite("UPDATE t SET v = 'later' WHERE n = 2")
    site.catch_up()
    tamper(site, "UPDATE t SET v = 'spoilt' WHERE n = 2 AND k NOT LIKE 'filler%'")
    [table] = site.prove().sources[0].tables
    assert table.kept_ranges
    assert (table.different, table.differences) == (len(HARD_KEYS), len(HARD_KEYS))
