"""What `cdc plan` costs on a large table: the peak of its memory, and how long a read holds on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench import legacy, product
from bench.report import Figure

MEMORY: Final = ("under", 150.0)
LOCK: Final = ("under", 50.0)
"""lock_bound_ms, as it is without a configuration."""

PRICES: Final = """
    CREATE TABLE prices (at INTEGER PRIMARY KEY, price REAL, words TEXT, said TEXT)
"""

FILL: Final = """
    INSERT INTO prices
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
    SELECT i, i / 7.0, 'tick ' || i, datetime(i, 'unixepoch') FROM n
"""

TIMED: Final = """
import contextlib, json, sys, time
from bench.peak import peak
from cdc.cli import main
from cdc.sqlite.connection import SourceFile
held, reading = [], SourceFile.reading
@contextlib.contextmanager
def timed(file):
    with reading(file):
        started = time.monotonic()
        try:
            yield
        finally:
            held.append((time.monotonic() - started) * 1000)
SourceFile.reading = timed
try:
    main(["plan", "--json", "-c", sys.argv[1]])
finally:
    held.sort()
    found = {"megabytes": peak(), "reads": len(held), "longest": held[-1]}
    sys.stderr.write(json.dumps(found | {"most": held[len(held) * 99 // 100]}))
"""
"""Runs the plan; says what it took, and for how long the reads held the lock, in milliseconds."""


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """The plan of a file of one table, which nobody writes to meanwhile."""
    rows = 300_000 if quick else 3_000_000
    file = directory / "prices.db"
    legacy.create(file, PRICES, FILL.format(rows=rows))
    config = product.write_config(directory, dsn, [file])
    ended = subprocess.run(
        [sys.executable, "-c", TIMED, str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"cdc plan: {ended.stderr[-2000:]}")
    found = json.loads(ended.stderr)
    note = f"99 of 100 of {found['reads']:,} reads; the longest took {found['longest']:.0f} ms"
    return [
        Figure("memory of the plan", found["megabytes"], " MB", MEMORY, f"{rows:,} rows"),
        Figure("lock held by the plan", found["most"], " ms", LOCK, note),
    ]
