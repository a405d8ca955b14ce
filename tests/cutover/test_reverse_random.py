"""Writers at every isolation level, appliers that compete and die: nothing is lost or doubled."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from tests.support.command import ROOT
from tests.support.switch import differences, switch, switch_back
from tests.support.waiting import wait_until

APPLIER = Path(__file__).with_name("applier.py")
LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
COUNTERS = 8
TRANSACTIONS = 80
DEATHS = 4

SCHEMA = """
CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
WITH RECURSIVE i (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 8)
INSERT INTO counters SELECT i, 0 FROM i;
CREATE TABLE journal (n INTEGER PRIMARY KEY);
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT UNIQUE, balance REAL, words TEXT);
WITH RECURSIVE i (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 40)
INSERT INTO accounts SELECT i, 'n' || i, i + 0.125, 'old' FROM i;
CREATE TABLE pairs (a TEXT, b INTEGER, v REAL, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE log (line TEXT);
"""

LOST_RACES = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
    psycopg.errors.LockNotAvailable,
)


class Writer:
    """An application: random transactions until the gate is closed in its face."""

    def __init__(self, dsn: str, level: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.conn = psycopg.connect(dsn, autocommit=True)
        self.conn.execute(f"SET default_transaction_isolation = '{level}'".encode())
        self.conn.execute("SET lock_timeout = '1s'")
        self.next = seed * 1_000_000
        self.committed: list[int] = []
        self.counted = [0] * (COUNTERS + 1)

    def run(self) -> None:
        while True:
            counter = self.rng.randint(1, COUNTERS)
            try:
                with self.conn.transaction():
                    # Written once and never again: a lost entry of the queue stays lost. It gets
                    # its id early, and comes to light late.
                    self.next += 1
                    self.conn.execute("INSERT INTO journal VALUES (%s)", (self.next,))
                    self.conn.execute("UPDATE counters SET n = n + 1 WHERE id = %s", (counter,))
                    for _ in range(self.rng.randint(0, 3)):
                        self.rng.choice(self.kinds)(self)
            except psycopg.errors.ReadOnlySqlTransaction:
                self.conn.close()
                return
            except LOST_RACES:
                continue
            self.counted[counter] += 1
            self.committed.append(self.next)

    def key(self) -> int:
        return self.rng.randint(1, 60)

    def insert(self) -> None:
        self.conn.execute(
            "INSERT INTO accounts VALUES (%s, %s, random(), 'new') ON CONFLICT (id) DO UPDATE"
            " SET balance = excluded.balance",
            (self.key(), f"n{self.rng.randint(100, 160)}"),
        )

    def update(self) -> None:
        self.conn.execute("UPDATE accounts SET words = words || '.' WHERE id < %s", (self.key(),))

    def delete(self) -> None:
        self.conn.execute("DELETE FROM accounts WHERE id = %s", (self.key(),))

    def rekey(self) -> None:
        self.conn.execute("UPDATE accounts SET id = %s WHERE id = %s", (self.key(), self.key()))

    def swap(self) -> None:
        one, other = self.key(), self.key()
        names = dict(
            self.conn.execute(
                "SELECT id, name FROM accounts WHERE id IN (%s, %s) FOR UPDATE", (one, other)
            )
        )
        if len(names) == 2:
            self.conn.execute("UPDATE accounts SET name = NULL WHERE id = %s", (one,))
            for id_, name in ((other, names[one]), (one, names[other])):
                self.conn.execute("UPDATE accounts SET name = %s WHERE id = %s", (name, id_))

    def copy(self) -> None:
        with self.conn.cursor().copy("COPY log (rowid, line) FROM STDIN") as copy:
            for _ in range(3):
                copy.write_row((self.rng.randint(1, 10**9), "line"))

    def truncate(self) -> None:
        self.conn.execute(f"TRUNCATE {self.rng.choice(['pairs', 'log'])}".encode())

    def pair(self) -> None:
        self.conn.execute(
            "INSERT INTO pairs VALUES (%s, %s, random()) ON CONFLICT (a, b) DO UPDATE SET b = -%s",
            (self.rng.choice("xyz"), self.rng.randint(1, 5), self.key()),
        )

    kinds = (insert, update, delete, rekey, swap, copy, truncate, pair, pair)


class Appliers:
    """Two at a time, each followed by another when it dies; the last ones are killed."""

    def __init__(self, site, epoch: int) -> None:
        self.site = site
        self.epoch = epoch
        self.deaths = 0
        self.running = [self.start(seed) for seed in range(2)]

    def start(self, seed: int) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, APPLIER, self.site.config_path, str(self.epoch), str(seed)],
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def look(self) -> None:
        for place, process in enumerate(self.running):
            if process.poll() is not None:
                assert process.returncode == -9, process.stderr.read()
                process.communicate()
                self.deaths += 1
                self.running[place] = self.start(2 + self.deaths)

    def kill(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


class Witness:
    """Reads SQLite's counters all the while: none may ever go back."""

    def __init__(self, site) -> None:
        self.site = site
        self.seen: dict[int, int] = {}
        self.went_back: list[tuple[int, int, int]] = []

    def look(self) -> None:
        for id_, n in self.site.sqlite("SELECT id, n FROM counters"):
            if n < self.seen.get(id_, 0):
                self.went_back.append((id_, self.seen[id_], n))
            self.seen[id_] = n


@pytest.mark.parametrize("seed", [1])
def test_random_writers_and_mortal_appliers(seed, site):
    """Every acknowledged write is in SQLite once, in no moment an older row over a newer one."""
    site.sqlite(SCHEMA)
    site.configure()
    epoch = switch(site)
    writers = [Writer(site.dsn, level, seed * 100 + i) for i, level in enumerate(LEVELS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    appliers, witness = Appliers(site, epoch), Witness(site)
    for thread in threads:
        thread.start()

    def enough() -> bool:
        appliers.look()
        witness.look()
        assert all(thread.is_alive() for thread in threads)
        busy = all(len(writer.committed) >= TRANSACTIONS for writer in writers)
        return busy and appliers.deaths >= DEATHS

    try:
        wait_until(enough, 120, what=lambda: [appliers.deaths, [len(w.committed) for w in writers]])
    finally:
        appliers.kill()
        switch_back(site)  # while they write; what it waits for is in the queue then
        for thread in threads:
            thread.join()
    witness.look()
    assert witness.went_back == []
    acknowledged = [sum(writer.counted[i] for writer in writers) for i in range(1, COUNTERS + 1)]
    assert [n for (n,) in site.sqlite("SELECT n FROM counters ORDER BY id")] == acknowledged
    journal = sorted(n for writer in writers for n in writer.committed)
    assert [n for (n,) in site.sqlite("SELECT n FROM journal ORDER BY n")] == journal
    assert differences(site) == []
    assert site.postgres("SELECT * FROM cdc.reverse_quarantine") == []
    assert site.postgres("SELECT * FROM cdc.queue") == []
    site.sqlite("UPDATE counters SET n = -n; REPLACE INTO accounts (name) VALUES ('n101')")
    site.catch_up()
    site.assert_equal()
