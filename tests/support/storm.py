"""A legacy application that never rests: Python's own sqlite3, in a process of its own.

Run as a script it writes until its standard input is closed, then prints its report. `Storm` is the
tests' end of it.

Each transaction leaves its number, which only grows, in a row of `journal`. Each statement has a
number of its own as well, and leaves it as the `version` of the rows of `accounts` that it touches:
so no row of theirs ever legitimately gets a version at or below one that it had before.
"""

import argparse
import json
import random
import select
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (n INTEGER PRIMARY KEY, at REAL, words TEXT);
CREATE TABLE IF NOT EXISTS accounts (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, balance REAL, version INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ticker TEXT NOT NULL, size INTEGER, data BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS positions_ticker ON positions (ticker);
CREATE TABLE IF NOT EXISTS pairs (a TEXT, b INTEGER, v REAL, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS loose (x INTEGER, y TEXT);
"""


@dataclass(frozen=True)
class Report:
    """What the application noticed: `errors` are all but `database is locked`, which is counted."""

    commits: int
    locked: int
    errors: list[str]
    slowest_ms: float
    newest: int


class Storm:
    """The running application. It ends with the tests' process, however that ends."""

    def __init__(self, path: Path, *options: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path), *map(str, options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        # It says so when it has made its tables.
        assert self._process.stdout.readline() == "ready\n"

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> Report:
        """Let it finish its transaction; what it has done and met."""
        output, _ = self._process.communicate("", timeout=60)
        assert self._process.returncode == 0, output
        return Report(**json.loads(output))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class _Application:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rng = random.Random(options.seed)
        self.db = sqlite3.connect(options.path, timeout=30, isolation_level=None)
        self.db.execute(f"PRAGMA journal_mode = {options.journal}")
        self.db.execute(f"PRAGMA synchronous = {options.synchronous}")
        if not options.read:
            self.db.executescript(SCHEMA)
        self.n = self.db.execute("SELECT coalesce(max(n), 0) FROM journal").fetchone()[0]
        # Only its work is impatient: nobody counts what it meets before.
        self.db.execute(f"PRAGMA busy_timeout = {round(options.timeout * 1000)}").fetchall()
        self.commits = self.locked = 0
        self.errors: list[str] = []
        self.slowest = 0.0

    def run(self) -> None:
        print("ready", flush=True)  # noqa: T201  (its report)
        work = self.read if self.options.read else self.write
        while not select.select([sys.stdin], [], [], self.options.pause)[0]:
            if self.options.commits and self.commits >= self.options.commits:
                continue
            started = time.monotonic()
            try:
                work()
                self.commits += 1
            except sqlite3.Error as error:
                if "locked" in str(error):
                    self.locked += 1
                else:
                    self.errors.append(f"{type(error).__name__}: {error}")
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
            self.slowest = max(self.slowest, time.monotonic() - started)

    def report(self) -> dict[str, Any]:
        return {
            "commits": self.commits,
            "locked": self.locked,
            "errors": self.errors,
            "slowest_ms": self.slowest * 1000,
            "newest": self.n,
        }

    def read(self) -> None:
        self.db.execute("SELECT count(*), sum(balance) FROM accounts").fetchall()

    def write(self) -> None:
        n = self.n + 1
        self.db.execute("BEGIN")
        words = " ".join(f"{self.rng.random():.3f}" for _ in range(self.rng.randint(0, 8)))
        self.db.execute("INSERT INTO journal VALUES (?, ?, ?)", (n, time.time(), words))
        for step in range(self.rng.randint(1, 4)):
            self.rng.choice(self.kinds)(self, n * 10 + step)
        self.db.execute("COMMIT")
        self.n = n

    def insert(self, version: int) -> None:
        name = f"n{self.rng.randrange(self.options.keys * 4)}"
        self.db.execute(
            "INSERT OR IGNORE INTO accounts VALUES (NULL, ?, ?, ?)",
            (name, self.rng.random(), version),
        )

    def replace(self, version: int) -> None:
        # Evicts by id, by name, or both.
        name = f"n{self.rng.randrange(self.options.keys * 4)}"
        self.db.execute(
            "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?)",
            (self.rng.randrange(self.options.keys), name, float(version), version),
        )

    def update(self, version: int) -> None:
        low = self.rng.randrange(self.options.keys)
        self.db.execute(
            "UPDATE accounts SET balance = balance + 1, version = ? WHERE id BETWEEN ? AND ?",
            (version, low, low + self.rng.randint(0, 20)),
        )

    def rekey(self, version: int) -> None:
        old, new = (self.rng.randrange(self.options.keys) for _ in range(2))
        self.db.execute(
            "UPDATE OR IGNORE accounts SET id = ?, version = ? WHERE id = ?", (new, version, old)
        )

    def delete(self, version: int) -> None:
        self.db.execute(
            "DELETE FROM accounts WHERE id = ?", (self.rng.randrange(self.options.keys),)
        )

    def position(self, version: int) -> None:
        ticker = f"T{self.rng.randrange(40)}"
        self.db.execute(
            "INSERT OR REPLACE INTO positions (ticker, size, data) VALUES (?, ?, ?)",
            (ticker, version, self.rng.randbytes(self.rng.randint(0, 40))),
        )

    def pair(self, version: int) -> None:
        a, b = f"p{self.rng.randrange(20)}", self.rng.randrange(20)
        self.db.execute(
            "INSERT INTO pairs VALUES (?, ?, ?) ON CONFLICT (a, b) DO UPDATE SET v = excluded.v",
            (a, b, self.rng.random()),
        )
        self.db.execute("UPDATE OR REPLACE pairs SET b = b + 1 WHERE a = ? AND b = ?", (a, b))
        self.db.execute("DELETE FROM pairs WHERE b > 40")

    def without_key(self, version: int) -> None:
        x = self.rng.randrange(200)
        self.db.execute("INSERT INTO loose VALUES (?, ?)", (x, str(version)))
        self.db.execute("UPDATE loose SET y = y || '.' WHERE x = ?", (x,))
        self.db.execute("DELETE FROM loose WHERE x = ?", (self.rng.randrange(200),))

    kinds = (insert, replace, update, update, rekey, delete, position, pair, without_key)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds for a lock")
    parser.add_argument("--journal", default="DELETE")
    parser.add_argument("--synchronous", default="OFF")
    parser.add_argument("--pause", type=float, default=0.002, help="seconds between two")
    parser.add_argument("--keys", type=int, default=2000)
    parser.add_argument("--commits", type=int, default=0, help="rest after so many")
    parser.add_argument("--read", action="store_true")
    return parser.parse_args()


def _main() -> None:
    application = _Application(_parse())
    with closing(application.db):
        application.run()
    print(json.dumps(application.report()))  # noqa: T201


if __name__ == "__main__":
    _main()
