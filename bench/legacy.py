"""The legacy side: SQLite files and rows, written with Python's own sqlite3, as services do.

Rows are made from a fixed seed, so that every run and every way gets the same ones.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

Row = tuple[object, ...]

TRADES: Final = """
    CREATE TABLE trades (
        id INTEGER PRIMARY KEY,
        date TEXT NOT NULL, time TEXT NOT NULL, strike TEXT NOT NULL, side TEXT NOT NULL,
        buy_price REAL NOT NULL, position INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'open',
        closed_at TEXT, contract TEXT, sell_price REAL, pnl REAL, symbol TEXT, market TEXT,
        trade_strategy TEXT, symbol_open REAL, momentum REAL, prob REAL, volatility REAL,
        symbol_close REAL, win_loss TEXT, ticker TEXT, fees REAL, entry_method TEXT,
        close_method TEXT
    )
"""
"""The wide table: the 25 columns of the reference user's table of trades."""

INSERT_TRADE: Final = f"INSERT INTO trades VALUES (?{', ?' * 24})"
UPDATE_TRADE: Final = """
    UPDATE trades
    SET status = 'closed', closed_at = ?, sell_price = ?, pnl = ?, symbol_close = ?, win_loss = 'W'
    WHERE id = ?
"""
DELETE_TRADE: Final = "DELETE FROM trades WHERE id = ?"

TICKS: Final = "CREATE TABLE ticks (id INTEGER PRIMARY KEY, at TEXT, price REAL, size INTEGER)"
"""The narrow table."""

INSERT_TICK: Final = "INSERT INTO ticks VALUES (?, ?, ?, ?)"

RECENT: Final = 1000
"""Updates and deletes are of one of so many newest rows."""

BEGAN: Final = datetime(2025, 8, 1, tzinfo=UTC)


def create(path: Path, *statements: str, journal: str = "DELETE") -> None:
    """Make a file of these tables in this journal mode."""
    connection = connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def connect(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection in autocommit mode."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def fill(path: Path, insert: str, rows: Iterable[Row]) -> None:
    """Add rows in one transaction."""
    connection = connect(path, synchronous="OFF")
    connection.execute("BEGIN")
    connection.executemany(insert, rows)
    connection.execute("COMMIT")
    connection.close()


def ticks(count: int) -> Iterator[Row]:
    """So many rows of `ticks`, one a second."""
    random = Random(4)
    for row in range(1, count + 1):
        at = (BEGAN + timedelta(seconds=row)).strftime("%Y-%m-%dT%H:%M:%S")
        yield row, at, round(random.gauss(116_000, 500), 2), random.randrange(1000)


def trades(count: int, *, first: int = 1) -> Iterator[Row]:
    """So many rows of `trades`, in the values that its columns have."""
    random = Random(25)
    for row in range(first, first + count):
        date, time = (BEGAN + timedelta(minutes=row)).strftime("%Y-%m-%dT%H:%M:%S").split("T")
        strike = random.randrange(460, 480) * 250
        price, chance = round(random.gauss(116_000, 500), 2), round(random.random(), 4)
        closed = random.random() < 0.9
        yield (
            row,
            date,
            time,
            f"${strike:,}",
            random.choice("YN"),
            round(chance, 2),
            random.choice((1, 2, 5, 10, 25)),
            "closed" if closed else "open",
            f"{date}T{time}" if closed else None,
            f"BTC {time[:2]}:00",
            round(random.random(), 2) if closed else None,
            round(random.gauss(0, 5), 2) if closed else None,
            "BTC",
            "Kalshi",
            random.choice(("Hourly HTC", "Momentum", "Manual")),
            price,
            round(random.gauss(0, 4), 2),
            chance,
            round(random.uniform(0.05, 0.95), 4),
            price + 10 if closed else None,
            random.choice("WL") if closed else None,
            f"KXBTCD-25AUG01{time[:2]}-T{strike - 0.01:.2f}",
            0.07,
            random.choice(("manual", "auto")),
            "expired" if closed else None,
        )


def busy(path: Path, events: int, *, per_transaction: int = 1000) -> None:
    """Make so many changes of `trades`: 40 % inserts, 50 % updates, 10 % deletes; recent rows."""
    random = Random(events)
    connection = connect(path, synchronous="OFF")
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM trades").fetchone()
    rows = trades(events, first=last + 1)
    recent = [last - i for i in range(RECENT) if last - i > 0]
    changes = iter(random.choices("iud", (40, 50, 10), k=events))
    while transaction := list(islice(changes, per_transaction)):
        connection.execute("BEGIN")
        for change in transaction:
            if change == "i" or not recent:
                row = next(rows)
                connection.execute(INSERT_TRADE, row)
                recent.append(row[0])
                if len(recent) > 2 * RECENT:
                    del recent[:RECENT]
            elif change == "u":
                values = ("2025-08-01T15:00:00", random.random(), random.random(), 116_000.0)
                connection.execute(UPDATE_TRADE, (*values, random.choice(recent[-RECENT:])))
            else:
                at = random.randrange(max(0, len(recent) - RECENT), len(recent))
                connection.execute(DELETE_TRADE, (recent.pop(at),))
        connection.execute("COMMIT")
    connection.close()
