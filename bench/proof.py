"""What a proof costs: a full one against plain scans, an incremental one against a full one, its
memory, and what a legacy writer notices of it."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import apsw
import psycopg

from bench import legacy, product, target
from bench.peak import peak_of_command
from bench.report import Figure, interleaved
from cdc import garbage
from cdc.config import Config, load
from cdc.postgres.connection import Target
from cdc.proof.request import Request
from cdc.proof.sources import prove

FULL_BOUND = ("at most", 1.3)
KEPT_BOUND = ("at most", 5.0)
MEMORY_BOUND = ("under", 150.0)
WRITER_BOUND = ("at most", 1.1)

CHANGES: Final = 1_000
WRITES: Final = 400
PAUSE_SECONDS: Final = 0.005
ROUNDS_OF_WRITES: Final = 3


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """A narrow and a wide table, copied, and then proven again and again."""
    garbage.collect_rarely()  # as every command does
    narrow, wide = (100_000, 30_000) if quick else (1_000_000, 300_000)
    rounds = 1 if quick else 3
    file = directory / "proof.db"
    legacy.create(file, legacy.TICKS, legacy.TRADES)
    legacy.fill(file, legacy.INSERT_TICK, legacy.ticks(narrow))
    legacy.fill(file, legacy.INSERT_TRADE, legacy.trades(wide))
    with target.database(dsn) as database:
        config_path = product.write_config(directory, database, [file])
        product.cdc("run", "--until-caught-up", "-c", config_path)
        config = load(config_path, environ={})
        with Target(database) as to:
            figures = [
                _full(config, to, database, file, rounds, table) for table in ("ticks", "trades")
            ]
            figures.append(_incremental(config, to, file, config_path, rounds))
        figures.append(_memory(config_path))
        figures.append(_writer(config_path, file))
    return figures


def _seconds(config: Config, to: Target, *, full: bool, table: str | None = None) -> float:
    started = time.monotonic()
    verdict = prove(config, to, Request(full=full, table=table))
    assert verdict.converged, verdict
    return time.monotonic() - started


def _full(  # noqa: PLR0917
    config: Config, to: Target, database: str, file: Path, rounds: int, table: str
) -> Figure:
    proof, ours, theirs = interleaved(
        rounds,
        lambda: _seconds(config, to, full=True, table=table),
        lambda: _scan_sqlite(file, table),
        lambda: _scan_postgres(database, table),
    )
    note = f"{proof:.2f} s; SQLite read in {ours:.2f} s, PostgreSQL in {theirs:.2f} s"
    name = f"full proof of {table}, to one scan of each side"
    return Figure(name, proof / (ours + theirs), "x", FULL_BOUND, note)


def _scan_sqlite(file: Path, table: str) -> float:
    started = time.monotonic()
    connection = apsw.Connection(str(file))
    for _ in connection.execute(f"SELECT * FROM {table}"):
        pass
    connection.close()
    return time.monotonic() - started


def _scan_postgres(database: str, table: str) -> float:
    started = time.monotonic()
    with psycopg.connect(database) as conn, conn.cursor(binary=True) as cursor:
        for _ in cursor.execute(f"SELECT * FROM {table}".encode()):
            pass
    return time.monotonic() - started


def _incremental(config: Config, to: Target, file: Path, config_path: Path, rounds: int) -> Figure:
    def change_and_prove() -> float:
        connection = apsw.Connection(str(file))
        with connection:
            connection.execute(
                "UPDATE ticks SET price = price + 1 WHERE id IN"
                " (SELECT abs(random()) % (SELECT max(id) FROM ticks) FROM ticks LIMIT ?)",
                (CHANGES,),
            )
        connection.close()
        product.cdc("run", "--until-caught-up", "-c", config_path)
        return _seconds(config, to, full=False, table="ticks")

    _seconds(config, to, full=True, table="ticks")
    full, kept = interleaved(
        rounds, lambda: _seconds(config, to, full=True, table="ticks"), change_and_prove
    )
    note = f"{kept * 1000:.0f} ms after {CHANGES:,} changes, {full:.2f} s for all rows"
    return Figure(
        "proof after some changes, to a full one", 100 * kept / full, " %", KEPT_BOUND, note
    )


def _memory(config_path: Path) -> Figure:
    """The peak of a proof of the larger table, against that of the start of the same command."""
    small = peak_of_command("lag", "-c", config_path)
    peak = peak_of_command("verify", "--full", "-c", config_path)
    note = f"VmHWM of the process, {small:.0f} MB of which any command has"
    return Figure("memory of a full proof", peak, " MB", MEMORY_BOUND, note)


_WRITER: Final = """
import sqlite3, sys, time
path, writes, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
db = sqlite3.connect(path, timeout=5, isolation_level=None)
for number in range(writes):
    started = time.perf_counter()
    db.execute("INSERT INTO ticks (at, price, size) VALUES (datetime('now'), 1.5, ?)", (number,))
    print(time.perf_counter() - started)
    time.sleep(pause)
"""
"""A legacy service with a rollback journal: each write is a transaction of its own."""


def _writer(config_path: Path, file: Path) -> Figure:
    alone, beside = [], []
    for _ in range(ROUNDS_OF_WRITES):
        alone += _latencies(file)
        proof = subprocess.Popen(
            [sys.executable, "-c", _PROOFS, str(config_path)], stdout=subprocess.PIPE, text=True
        )
        with proof:
            assert proof.stdout is not None
            proof.stdout.readline()  # it has begun
            beside += _latencies(file)
            proof.terminate()
    before, during = statistics.median(alone), statistics.median(beside)
    note = f"median commit {before * 1000:.2f} ms alone, {during * 1000:.2f} ms beside proofs"
    return Figure("a writer's commit beside proofs", during / before, "x", WRITER_BOUND, note)


_PROOFS: Final = """
import subprocess, sys
print("begun", flush=True)
while True:
    subprocess.run([sys.executable, "-m", "cdc", "verify", "--full", "-c", sys.argv[1]],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""


def _latencies(file: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", _WRITER, str(file), str(WRITES), str(PAUSE_SECONDS)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(line) for line in done.stdout.split()]
