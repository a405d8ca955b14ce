"""The regression suite of the trading system: `python -m cdc.demo.regression DIRECTORY`.

Tries on whichever side is master what the services live by, each check in transactions of its own
that nobody else sees half of, and takes away what it has written. The exit code is 0 when all
checks pass, 1 when one does not. The demo's cutover runs it as its `regression` hook.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from cdc.demo import account, files, trades
from cdc.demo.inserts import Conflict
from cdc.demo.services.desk import Desk, Tally, Transaction
from cdc.demo.services.desks import desk_of
from cdc.demo.services.ledger import HOMES

QUERY_SECONDS: Final = 1.0
WRITE_SECONDS: Final = 2.0

TRIES: Final = 3
"""What took too long is tried again: a database that is slow is slow each time, and a machine that
stood still for a moment was not.
"""

MARK: Final = "REGRESSION"
"""Begins the ticker of every row that is written here."""

QUERIES: Final = (
    (files.TRADES, "SELECT status, count(*), sum(pnl) FROM trades GROUP BY status"),
    (files.ORDERS, "SELECT * FROM orders WHERE status = 'resting' ORDER BY id DESC"),
    (files.FILLS, "SELECT ticker, sum(count) FROM fills GROUP BY ticker"),
    (files.PRICE_HISTORY, "SELECT min(price), max(price), avg(price) FROM price_log"),
)
"""What the pages of the trading system ask for."""

MARKED: Final = (
    (files.TRADES, "trades"),
    (files.POSITIONS, "positions"),
    (files.FILLS, "fills"),
)
"""Where the checks write."""

_RESULT: Final = (
    "SELECT status, buy_price, sell_price, pnl, win_loss, position FROM trades WHERE ticket_id = ?"
)


class Failed(Exception):
    """A check has found what it should not."""


@dataclass(slots=True)
class Suite:
    """The checks on one side. `reads` and `writes` are how long each took, in seconds. `run` is a
    part of all that is written, which no other run has.
    """

    desk: Desk
    run: str
    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)

    def connectivity(self) -> None:
        """Every table can be read."""
        for table, home in HOMES.items():
            self._read(home.file, f"SELECT count(*) FROM {table}")

    def open_and_close_a_trade(self) -> None:
        """pending -> open -> closing -> closed."""
        ticket, moment = f"{MARK}-TRADE-{self.run}", datetime.now(UTC)
        with self._write(files.TRADES) as session:
            trade = self._place(session, ticket, moment, buy_price=0.4, position=10)
            trades.confirm(session, trade)
            trades.begin_close(session, trade, "manual")
            trades.close(session, trade, moment, 117_750.0)
        status, buy_price, *_ = self._trade(ticket)
        self._expect("its status and its price", (status, buy_price), ("closed", 0.4))

    def profit_and_loss(self) -> None:
        """What a closed trade has brought is its price difference times its contracts."""
        ticket, moment = f"{MARK}-PNL-{self.run}", datetime.now(UTC)
        with self._write(files.TRADES) as session:
            trade = self._place(session, ticket, moment, buy_price=0.25, position=25)
            trades.confirm(session, trade)
            trades.begin_close(session, trade, "auto")
            trades.close(session, trade, moment, 200_000.0)
        _, bought, sold, pnl, outcome, position = self._trade(ticket)
        self._expect("the profit", pnl, round((sold - bought) * position, 2))
        self._expect("won or lost", outcome, "W")

    def expiry(self) -> None:
        """All open trades of a contract expire together, each with its own result."""
        moment = datetime.now(UTC)
        tickets = {side: f"{MARK}-EXPIRY-{side}-{self.run}" for side in "YN"}
        with self._write(files.TRADES) as session:
            placed = [
                self._place(session, ticket, moment, side=side, buy_price=0.5, position=4)
                for side, ticket in tickets.items()
            ]
            for trade in placed:
                trades.confirm(session, trade)
            trades.expire(session, placed[0], moment, 200_000.0)
        found = {side: self._trade(ticket) for side, ticket in tickets.items()}
        wanted = {"Y": ("expired", 1.0, 2.0, "W"), "N": ("expired", 0.0, -2.0, "L")}
        for side, (status, _, sold, pnl, outcome, _) in found.items():
            self._expect(f"side {side}", (status, sold, pnl, outcome), wanted[side])

    def position_update(self) -> None:
        """A position that is reported again takes the place of the one that is there."""
        ticker, rng = f"{MARK}-{self.run}", Random(self.run)
        for _ in range(2):
            row = account.new_position(rng, datetime.now(UTC), ticker)
            with self._write(files.POSITIONS) as session:
                columns = account.POSITION_COLUMNS
                session.insert("positions", columns, [row], Conflict.REPLACE)
                query = "SELECT position, market_exposure FROM positions WHERE ticker = ?"
                found = list(session.execute(query, (ticker,)))
            self._expect("the position", found, [(row[2], row[3])])

    def fill_insert(self) -> None:
        """A fill that the exchange sends twice is there once."""
        fill = account.new_fill(Random(self.run), datetime.now(UTC), 117_750.0)
        row = (fill[0], f"{MARK}-{self.run}", *fill[2:])
        for _ in range(2):
            with self._write(files.FILLS) as session:
                session.insert("fills", account.FILL_COLUMNS, [row], Conflict.IGNORE)
        query = "SELECT count, yes_price, is_taker FROM fills WHERE trade_id = ?"
        self._expect("the fill", self._read(files.FILLS, query, row[0]), [(row[5], row[6], row[8])])

    def query_time(self) -> None:
        """The slowest query of all, with those of the pages."""
        for file, query in QUERIES:
            self._read(file, query)
        _check_slowest("query", self.reads, QUERY_SECONDS)

    def write_time(self) -> None:
        """The slowest transaction of all; where that was too slow, of all of them once more."""
        for _ in range(TRIES - 1):
            if max(self.writes, default=0.0) < WRITE_SECONDS:
                break
            self.writes.clear()
            self.run += "-again"
            for check in WRITING:
                # What it finds is told by itself.
                with suppress(Failed, ValueError, self.desk.errors):
                    check(self)
        _check_slowest("write", self.writes, WRITE_SECONDS)

    def clean_up(self) -> None:
        """Nothing of this, nor of a suite that was killed, stays behind."""
        for file, table in MARKED:
            with self._write(file) as session:
                session.execute(f"DELETE FROM {table} WHERE ticker LIKE '{MARK}-' || ?", ("%",))

    def _place(
        self, session: Transaction, ticket: str, moment: datetime, **known: object
    ) -> trades.Trade:
        order = trades.new_order(Random(ticket), moment, 117_750.0) | {
            "side": "Y",
            "strike": "$117,750",
            "ticker": f"{MARK}-{self.run}",
            "ticket_id": ticket,
            **known,
        }
        trades.place(session, order)
        pending = list(session.execute(trades.BY_STATUS, ("pending",)))
        (row,) = (row for row in pending if row[-1] == ticket)
        return trades.Trade.from_row(row)

    def _trade(self, ticket: str) -> tuple[Any, ...]:
        found = self._read(files.TRADES, _RESULT, ticket)
        self._expect("the number of such trades", len(found), 1)
        return found[0]

    def _expect(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            raise Failed(f"{what}: {found!r}, not {wanted!r}")

    def _read(self, file: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        took: list[float] = []
        while True:
            started = time.perf_counter()
            rows = self.desk.read(file, query, parameters)
            took.append(time.perf_counter() - started)
            if took[-1] < QUERY_SECONDS or len(took) == TRIES:
                self.reads.append(min(took))
                return rows

    @contextmanager
    def _write(self, file: str) -> Iterator[Transaction]:
        started = time.perf_counter()
        with self.desk.transaction(file) as session:
            yield session
        self.writes.append(time.perf_counter() - started)


WRITING: Final = (
    Suite.open_and_close_a_trade,
    Suite.profit_and_loss,
    Suite.expiry,
    Suite.position_update,
    Suite.fill_insert,
)
"""The checks that write, each with rows of its own for each `run`."""


def _check_slowest(what: str, seconds: list[float], limit: float) -> None:
    if not seconds:
        raise Failed(f"there was no {what} that succeeded")
    if max(seconds) >= limit:
        raise Failed(f"a {what} took {max(seconds):.2f} s")


def run(desk: Desk) -> bool:
    """Run every check and print what came of it; whether all passed."""
    suite = Suite(desk, run=f"{time.time_ns():x}")
    checks: tuple[tuple[str, Callable[[], None]], ...] = (
        ("connectivity", suite.connectivity),
        ("open and close a trade", suite.open_and_close_a_trade),
        ("profit and loss", suite.profit_and_loss),
        ("expiry", suite.expiry),
        ("position update", suite.position_update),
        ("fill insert", suite.fill_insert),
        (f"query time < {QUERY_SECONDS} s", suite.query_time),
        (f"write time < {WRITE_SECONDS} s", suite.write_time),
        ("clean up", suite.clean_up),
    )
    # One that fails keeps none of the others from being tried.
    passed = [_tried(name, check, desk) for name, check in checks]
    return all(passed)


def _tried(name: str, check: Callable[[], None], desk: Desk) -> bool:
    started = time.perf_counter()
    wrong = ""
    try:
        check()
    except (Failed, ValueError, desk.errors) as error:
        wrong = f"  {str(error).strip() or type(error).__name__}"
    milliseconds = (time.perf_counter() - started) * 1000
    print(f"{'FAIL' if wrong else 'PASS'}  {name:<24}{milliseconds:>6.0f} ms{wrong}", flush=True)
    return not wrong


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cdc.demo.regression", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the seven files are")
    with desk_of(parser.parse_args(argv).directory, Tally("regression")) as desk:
        print(f"on {desk.engine}:")
        return 0 if run(desk) else 1


if __name__ == "__main__":
    sys.exit(main())
