"""What the daemon costs while nothing is written."""

import os
import time
from pathlib import Path
from typing import Final

from bench import legacy, product, target
from bench.report import Figure

BOUND = ("under", 1.0)
SOURCES: Final = 7
SETTLE_SECONDS: Final = 3.0


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """Seven sources, as the reference user has, each a file with a table of a few rows."""
    files = [directory / f"source{number}.db" for number in range(SOURCES)]
    for file in files:
        legacy.create(file, legacy.TRADES)
        legacy.fill(file, legacy.INSERT_TRADE, legacy.trades(100))
    seconds = 10.0 if quick else 30.0
    with target.database(dsn) as database:
        config = product.write_config(directory, database, files)
        with product.Daemon(config, database) as daemon:
            daemon.wait_until_tailing(SOURCES)
            time.sleep(SETTLE_SECONDS)
            before = _cpu_seconds(daemon.pid)
            time.sleep(seconds)
            percent = 100 * (_cpu_seconds(daemon.pid) - before) / seconds
    note = f"user and system time of the process in {seconds:.0f} s"
    return [Figure(f"idle with {SOURCES} sources, of one core", percent, " %", BOUND, note)]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")
