"""What capture adds to an autocommitted insert of 25 columns, in a legacy process of its own.

The rollback journal is the services' default, and so is a commit that waits for the disk. Three
files are written in turn, row by row: without capture, with a trigger that logs nothing but the
key, and with the triggers of `cdc install`.
"""

import time
from pathlib import Path
from statistics import median
from typing import Final

from bench import legacy, product
from bench.report import Figure

BOUND = ("at most", 1.10)
WAYS: Final = ("bare", "key_only", "captured")
UNIQUE: Final = "CREATE UNIQUE INDEX trades_ticker ON trades (ticker, id)"

KEY_ONLY: Final = (
    "CREATE TABLE changes (seq INTEGER PRIMARY KEY, at, op, tab, key)",
    """
    CREATE TRIGGER log_insert AFTER INSERT ON trades BEGIN
        INSERT INTO changes (at, op, tab, key) VALUES (julianday('now'), 'i', 1, NEW.id);
    END
    """,
)


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """The plain table first, then the same table with a unique index besides its key."""
    rows = 400 if quick else 4000
    return [
        figure
        for name, index in (("plain", ()), ("unique", (UNIQUE,)))
        for figure in _measure(dsn, directory / name, index, rows)
    ]


def _measure(dsn: str, directory: Path, index: tuple[str, ...], rows: int) -> list[Figure]:
    directory.mkdir()
    files = {way: directory / f"{way}.db" for way in WAYS}
    for way, file in files.items():
        legacy.create(file, legacy.TRADES, *index, *(KEY_ONLY if way == "key_only" else ()))
    config = product.write_config(directory, dsn, [files["captured"]])
    product.cdc("install", "-c", config)

    seconds = _insert(files, rows)
    kind = "a table with a unique index" if index else "a plain table"
    to_key_only = seconds["captured"] / seconds["key_only"]
    to_bare = seconds["captured"] / seconds["bare"]
    note = f"medians of {rows:,} autocommitted inserts, in turn"
    return [
        Figure(f"capture, {kind}: cost beside a key-only trigger", to_key_only, "x", BOUND, note),
        Figure(f"capture, {kind}: cost beside no capture", to_bare, "x", None, note),
    ]


def _insert(files: dict[str, Path], rows: int) -> dict[str, float]:
    """The median seconds of one insert, by way."""
    connections = {way: legacy.connect(file) for way, file in files.items()}
    seen: dict[str, list[float]] = {way: [] for way in files}
    for row in legacy.trades(rows):
        for way, connection in connections.items():
            started = time.perf_counter()
            connection.execute(legacy.INSERT_TRADE, row)
            seen[way].append(time.perf_counter() - started)
    for connection in connections.values():
        connection.close()
    return {way: median(times) for way, times in seen.items()}
