"""A writer that gives up no write: a service of the legacy system, or one moved to PostgreSQL.

`python retrying.py PATH` or `python retrying.py --postgres DSN`. It inserts rows of its own, each
again until the database acknowledges it, and prints the number of each when that has happened. It
ends when its standard input is closed.
"""

import select
import sqlite3
import sys
import time

PAUSE_SECONDS = 0.02


def _main() -> None:
    number = int(sys.argv[1])
    if sys.argv[2] == "--postgres":
        import psycopg

        target = psycopg.connect(sys.argv[3], autocommit=True)
        error: type[Exception] = psycopg.Error

        def write(n: int) -> None:
            target.execute("INSERT INTO orders (item, price) VALUES (%s, %s)", (f"w{n}", n / 7))
    else:
        source = sqlite3.connect(sys.argv[2], timeout=0.25, isolation_level=None)
        error = sqlite3.Error

        def write(n: int) -> None:
            source.execute("INSERT INTO orders (item, price) VALUES (?, ?)", (f"w{n}", n / 7))

    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        try:
            write(number)
        except error:
            time.sleep(PAUSE_SECONDS)
        else:
            print(number, flush=True)  # noqa: T201  (its report)
            number += 1


if __name__ == "__main__":
    _main()
