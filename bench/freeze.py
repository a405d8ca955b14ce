"""For how long nobody can write: cutover and rollback of the demo's system under its services, and
of one whose files are fifty times as large, in turn.
"""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from bench import product, target
from bench.report import Figure, percentile
from cdc.demo import files, premises
from cdc.demo.fleet import Fleet
from cdc.postgres.connection import Target

MEDIAN_BOUND = ("at most", 1.0)
P95_BOUND = ("at most", 2.0)
RATIO_BOUND = ("at most", 1.2)

ROUNDS: Final = 10
LARGE_EVERY: Final = 4
"""Only so many rounds include the large system: every row of it is compared before each round and
in each rollback, four million of its price log, and that takes minutes."""

TIMES: Final = 50
PACE: Final = 3.0
"""The services write so many times as often as in real life."""

PATIENCE_SECONDS: Final = 1800.0
TRIES: Final = 5
"""How often a command may give up before the bench does."""

UNIQUE: Final = {
    files.TRADES: ("trades", {}),
    files.ACTIVE_TRADES: ("active_trades", {}),
    files.POSITIONS: ("positions", {"ticker": "ticker || '-' || n"}),
    files.FILLS: ("fills", {"trade_id": "trade_id || '-' || n"}),
    files.ORDERS: ("orders", {"order_id": "order_id || '-' || n"}),
    files.SETTLEMENTS: ("settlements", {"ticker": "ticker || '-' || n"}),
    files.PRICE_HISTORY: ("price_log", {"timestamp": "timestamp || '.' || printf('%06d', n)"}),
}
"""The table of each file, and what makes a copy of a row another one."""


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """The freeze of both systems, round by round."""
    rounds, times = (3, 5) if quick else (ROUNDS, TIMES)
    one: list[tuple[float, float]] = []
    other: list[tuple[float, float]] = []
    with (
        _system(dsn, directory / "small", 1) as small,
        _system(dsn, directory / "large", times) as large,
    ):
        for number in range(rounds):
            one.append(small.there_and_back())
            if quick or number % LARGE_EVERY == 0:
                other.append(large.there_and_back())
    figures = []
    for at, way in enumerate(("cutover", "rollback")):
        of_small = [each[at] for each in one]
        of_large = [each[at] for each in other]
        note = (
            f"{len(one)} and {len(other)} rounds, {small.given_up} and {large.given_up} runs given"
            f" up; {median(of_large):.3f} s of {times} times the data"
        )
        bounds = (MEDIAN_BOUND, P95_BOUND, RATIO_BOUND)
        ratio = median(of_large) / median(of_small)
        figures += [
            Figure(f"freeze of the {way}: median", median(of_small), " s", bounds[0], note),
            Figure(f"freeze of the {way}: p95", percentile(of_small, 95), " s", bounds[1]),
            Figure(f"freeze of the {way}: {times} times the data", ratio, "x", bounds[2]),
        ]
    return figures


class _System:
    """The demo's files under their services, followed by a daemon."""

    def __init__(self, config: Path, daemon: product.Daemon) -> None:
        self._config = config
        self._daemon = daemon
        self.given_up = 0
        """Runs that left all as it was, as where the files could not be held for long enough."""

    def there_and_back(self) -> tuple[float, float]:
        """The freeze of a cutover and of the rollback behind it, in seconds."""
        self._daemon.wait_until_tailing(len(files.FILES))
        product.cdc("verify", "--full", "-c", self._config)
        there = self._freeze("cutover")
        # So there is something to bring back.
        time.sleep(1.0)
        back = self._freeze("rollback")
        return there, back

    def _freeze(self, command: str) -> float:
        for _ in range(TRIES):
            done = subprocess.run(
                [sys.executable, "-m", "cdc", command, "--yes", "--json", "-c", self._config],
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            if done.returncode > 1:
                break
            found = json.loads(done.stdout)
            # It may have switched and count as failed: the regression suite allows a query one
            # second, whatever the data.
            if found["outcome"] in {"switched", "rolled_back"}:
                return float(found["freeze_seconds"])
            self.given_up += 1
        raise RuntimeError(f"cdc {command}: {done.stderr[-2000:]}")


@contextmanager
def _system(dsn: str, directory: Path, times: int) -> Iterator[_System]:
    premises.furnish(directory)
    folder = directory / premises.FILES
    for name, (table, unique) in UNIQUE.items():
        _multiply(folder / name, table, unique, times)
    with target.database(dsn) as database:
        config = directory / premises.CONFIG
        text = config.read_text(encoding="utf-8")  # for another server
        config.write_text(text.replace('dsn = "embedded"', f'dsn = "{database}"'), encoding="utf-8")
        premises.invite(directory, database)
        with (
            Fleet.start(folder, pace=PACE, log_directory=directory),
            product.Daemon(config, database) as daemon,
        ):
            daemon.wait_until_tailing(len(files.FILES))
            with Target(database) as to:
                premises.admit(to)
            yield _System(config, daemon)


def _multiply(path: Path, table: str, unique: dict[str, str], times: int) -> None:
    """Give each row of a table so many copies, itself included."""
    connection = sqlite3.connect(path)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    columns = [column for column in columns if column != "id"]
    values = ", ".join(unique.get(column, column) for column in columns)
    connection.execute(
        f"WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {times - 1})"
        f" INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, i"
        f" WHERE {times} > 1"
    )
    connection.commit()
    connection.close()
