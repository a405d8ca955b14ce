"""The reference system there, back and there again: each acknowledged write is counted."""

import random
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.demo import ddl
from tests.support.command import ROOT
from tests.support.waiting import wait_until

from . import ledger
from .conftest import run
from .shop import follow
from .trading import KEPT_TICKS, SERVICES, TICKERS, second

HERE = Path(__file__).parent

TABLES = {
    "trades.db": ("trades", "ticket_id"),
    "active_trades.db": ("active_trades",),
    "positions.db": ("positions", "positions_ticker"),
    "fills.db": ("fills",),
    "settlements.db": ("settlements",),
    "btc_price_history.db": ("price_log",),
}

COUNTER = """
INSERT INTO trades (date, time, strike, side, buy_price, position, ticket_id)
VALUES ('2025-08-01', '00:00:00', '$1', 'Y', 0.5, 0, 'counter')
"""

MORE = """
[cutover]
hold_ms = 2000
attempts = 200
max_lag_events = 100_000
max_lag_seconds = 60.0
"""
"""Generous bounds: other tests share the machine."""


@pytest.fixture
def market(site):
    """The files of the reference system but for the orders, replicated and proven."""
    for name, statements in TABLES.items():
        for each in statements:
            site.sqlite(ddl.load(each), name=name)
    site.sqlite(COUNTER, name="trades.db")
    site.configure(*TABLES, more=MORE)
    follow(site)
    return site


class Services:
    """All services at work; `acknowledged` is what they have in their ledgers."""

    def __init__(self, site, seed: int) -> None:
        self._ledgers = {name: site.folder / f"{name}.ledger" for name in SERVICES}
        self._running = [
            subprocess.Popen(
                [sys.executable, HERE / "trading.py", name, site.folder, site.dsn, path, str(seed)],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            )
            for name, path in self._ledgers.items()
        ]

    def acknowledged(self, name: str) -> list[ledger.Write]:
        return ledger.read(self._ledgers[name])

    def go_on(self, rng: random.Random, side: str) -> None:
        """Let each service write a random number of times to a side, from now on."""
        wanted = {name: len(self.acknowledged(name)) + rng.randint(1, 40) for name in self._ledgers}

        def enough() -> bool:
            assert all(process.poll() is None for process in self._running)
            seen = {name: self.acknowledged(name) for name in wanted}
            return all(
                len(seen[name]) >= count and seen[name][-1].side == side
                for name, count in wanted.items()
            )

        wait_until(enough, 120, what=lambda: {n: self.acknowledged(n)[-1:] for n in wanted})

    def stop(self) -> None:
        for process in self._running:
            process.stdin.close()
        assert [process.wait(30) for process in self._running] == [0] * len(self._running)

    def kill(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            process.stdin.close()


@contextmanager
def services(site, seed: int):
    made = Services(site, seed)
    try:
        yield made
    finally:
        made.kill()


def expected(made: Services) -> dict[str, Counter]:
    """What each table has to hold, by what was acknowledged and nothing else."""
    manager = made.acknowledged("trade_manager")
    kinds = Counter(write.kind for write in manager)
    confirmed = {write.number - 1 for write in manager if write.kind == "confirm"}
    trades = Counter(
        (f"t{write.number}", "open" if write.number in confirmed else "pending", 1)
        for write in manager
        if write.kind == "place"
    )
    trades["counter", "open", kinds["count"]] += 1
    marks = [write.number for write in made.acknowledged("active_trade_supervisor")]
    active = Counter((n, marks[-1] - n) for n in marks[-5:])
    fills, settlements, positions = Counter(), Counter(), {}
    for write in made.acknowledged("account_sync"):
        match write.kind:
            case "fill":
                fills[f"f{write.number}",] += 1
            case "settle":
                settlements[f"s{write.number}",] += 1
            case "replace":
                positions[f"K{write.number % TICKERS}"] = write.number
            case "refresh":
                positions = {f"K{ticker}": write.number for ticker in range(TICKERS)}
    ticks = {}
    for write in made.acknowledged("price_watcher"):
        ticks[second(write.number)] = write.number + 0.25
        oldest = second(write.number - 3 * KEPT_TICKS)
    ticks = Counter((at, price) for at, price in ticks.items() if at >= oldest)
    return {
        "trades": trades,
        "active_trades": active,
        "fills": fills,
        "settlements": settlements,
        "positions": Counter(positions.items()),
        "price_log": ticks,
    }


COLUMNS = {
    "trades": "ticket_id, status, position",
    "active_trades": "trade_id, time_since_entry",
    "fills": "trade_id",
    "settlements": "ticker",
    "positions": "ticker, total_traded",
    "price_log": "timestamp, price",
}


def held(site) -> dict[str, dict[str, Counter]]:
    """What each side holds."""
    asked = {statements[0]: name for name, statements in TABLES.items()}
    found = {"sqlite": {}, "postgres": {}}
    for table, columns in COLUMNS.items():
        query = f"SELECT {columns} FROM {table}"
        found["sqlite"][table] = Counter(site.sqlite(query, name=asked[table]))
        found["postgres"][table] = Counter(site.postgres(query))
    return found


def assert_switched(report, outcome) -> None:
    assert (report.outcome, report.trouble) == (outcome, []), report


def round_trip(site, seed: int) -> None:
    """Cutover, writes on PostgreSQL, rollback, writes on SQLite, cutover; all while they write."""
    rng = random.Random(seed)
    with services(site, seed) as made:
        for turn in range(2):
            made.go_on(rng, "sqlite")
            assert site.prove(full=True).converged
            assert_switched(run(site, Cutover), "switched")
            made.go_on(rng, "postgres")
            if turn == 0:
                assert_switched(run(site, Rollback), "rolled_back")
        made.stop()
        wait_until(lambda: all(lag.lag_events == 0 for lag in site.lags()), 120)
        wanted, found = expected(made), held(site)
        for side, tables in found.items():
            for table, rows in tables.items():
                lost, doubled = wanted[table] - rows, rows - wanted[table]
                assert (side, table, lost, doubled) == (side, table, Counter(), Counter())
        writes = [write for name in SERVICES for write in made.acknowledged(name)]
    assert ledger.usurpers(writes, ledger.reigns(site)) == []
    assert Counter(write.side for write in writes).keys() == {"sqlite", "postgres"}


def test_no_acknowledged_write_is_lost_or_doubled_in_a_round_trip(market):
    """Whatever a service was told is done is there once, on both sides, at the end."""
    round_trip(market, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 51))
def test_round_trips_at_random_moments(seed, market):
    """The same, fifty times with the one above."""
    round_trip(market, seed)
