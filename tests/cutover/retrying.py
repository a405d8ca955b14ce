"""A writer that gives up no write, and asks one side all the time.

`python retrying.py LEDGER FIRST sqlite PATH` or `python retrying.py LEDGER FIRST postgres DSN`. It
inserts rows of its own, each again until the database acknowledges it, and then writes down its
number with the times at which it began and ended. It ends when its standard input is closed.
"""

import json
import select
import sqlite3
import sys
import time
from contextlib import closing

import psycopg

PAUSE_SECONDS = 0.02


class Legacy:
    """A service with the shortest timeout; it opens the file for each write."""

    refusals = sqlite3.Error

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, n: int) -> None:
        with closing(sqlite3.connect(self._path, timeout=0.25, isolation_level=None)) as db:
            db.execute("INSERT INTO orders (item, price) VALUES (?, ?)", (f"w{n}", n / 7))


class Moved:
    """A service that has moved to PostgreSQL; it connects anew when it has lost its connection."""

    refusals = psycopg.Error

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn: psycopg.Connection | None = None

    def write(self, n: int) -> None:
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self._dsn, autocommit=True)
        # Where the answer to this very row was lost, it may be there already.
        self._conn.execute(
            "INSERT INTO orders (item, price) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (f"w{n}", n / 7),
        )


def _main() -> None:
    ledger, first, kind, where = sys.argv[1:]
    number, writer = int(first), {"sqlite": Legacy, "postgres": Moved}[kind](where)
    with open(ledger, "a", encoding="utf-8", buffering=1) as out:  # noqa: PTH123
        while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            began = time.time()
            try:
                writer.write(number)
            except writer.refusals:
                continue
            out.write(json.dumps(["insert", number, kind, began, time.time()]) + "\n")
            number += 1


if __name__ == "__main__":
    _main()
