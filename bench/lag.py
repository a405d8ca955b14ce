"""From a commit in SQLite to the row in PostgreSQL, in WAL mode.

This process is the writer. It notes the time at which each COMMIT has returned; PostgreSQL keeps
the time of each of its own commits (track_commit_timestamp), on the same clock of the same
machine. Every commit inserts one row, so the row's xmin names the transaction that brought it.
"""

import time
from pathlib import Path

import psycopg

from bench import legacy, product, target
from bench.report import Figure, percentile

P50 = ("under", 2.0)
P99 = ("under", 25.0)


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """Many commits a second, then isolated ones, all with synchronous=FULL; then NORMAL."""
    seconds = 4.0 if quick else 20.0
    figures = []
    for per_second, synchronous in ((500, "FULL"), (10, "FULL"), (500, "NORMAL")):
        with target.database(dsn) as database:
            place = directory / f"{per_second}-{synchronous}"
            place.mkdir()
            lags, rate = _measure(database, place, per_second, seconds, synchronous)
        what = f"lag, {per_second} commits/s, synchronous={synchronous}"
        note = f"{len(lags):,} commits at {rate:.0f}/s"
        figures += [
            Figure(f"{what}: p50", percentile(lags, 50), " ms", P50, note),
            Figure(f"{what}: p99", percentile(lags, 99), " ms", P99, note),
        ]
    return figures


def _measure(
    dsn: str, directory: Path, per_second: int, seconds: float, synchronous: str
) -> tuple[list[float], float]:
    """The lag of each commit in milliseconds, and how many commits a second there were."""
    file = directory / "live.db"
    legacy.create(file, legacy.TRADES, journal="WAL")
    config = product.write_config(directory, dsn, [file])
    with product.Daemon(config, dsn) as daemon:
        daemon.wait_until_tailing()
        # The first commits find a daemon that has just started.
        _write(file, 1, 50, per_second, synchronous)
        committed = _write(file, 51, int(per_second * seconds), per_second, synchronous)
        daemon.wait_until_applied(50 + len(committed))
    with psycopg.connect(dsn) as conn:
        applied = conn.execute(
            "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM trades"
        ).fetchall()
    times = dict(applied)
    lags = [(times[row] - at) * 1000 for row, at in committed.items()]
    duration = max(committed.values()) - min(committed.values())
    return lags, (len(lags) - 1) / duration


def _write(
    file: Path, first: int, count: int, per_second: int, synchronous: str
) -> dict[int, float]:
    """Insert rows one commit at a time; when each COMMIT had returned, by id."""
    connection = legacy.connect(file, synchronous=synchronous)
    committed = {}
    began = time.monotonic()
    for done, row in enumerate(legacy.trades(count, first=first)):
        pause = began + done / per_second - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        connection.execute(legacy.INSERT_TRADE, row)
        committed[row[0]] = time.time()
    connection.close()
    return committed
