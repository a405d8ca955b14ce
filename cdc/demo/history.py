"""Makes the seven files with a month of history: `python -m cdc.demo.history DIRECTORY`.

The rows are the same for the same seed and the same `--now`. The layout is that of files which
have lived: a column and an index that came later, ids with gaps, times in two zones.
"""

import argparse
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from cdc.demo import account, active_trades, clock, ddl, files, inserts, market, trades
from cdc.demo.inserts import Conflict

DEFAULT_SEED: Final = 20_250_731

TRADES: Final = 129
ACTIVE_TRADES: Final = 7
POSITIONS: Final = 24
FILLS: Final = 1_060
ORDERS: Final = 1_140
SETTLEMENTS: Final = 520

TRADES_BEFORE_TICKETS: Final = 54
"""So many trades were placed before the table got its column `ticket_id`."""

ORDERS_BETWEEN_ERRORS: Final = 20
"""Each such order was refused and deleted: the ids of the trades have gaps."""

DAYS: Final = 30
"""How far back everything goes, and how long the price watcher keeps a price."""

WATCHED_SECONDS_A_DAY: Final = 2_700
"""Prices a day, 81,000 in all: the watcher did not run around the clock."""


class AlreadyThere(Exception):
    """The directory holds one of the files already; nothing was touched."""


@dataclass(frozen=True, slots=True)
class _Page:
    """One file in the making: its connection, its source of chance, and where history ends."""

    directory: Path
    connection: sqlite3.Connection
    rng: Random
    now: datetime

    def moments(self, count: int) -> list[datetime]:
        """Moments of the last month, in order."""
        window = DAYS * 86_400.0
        ages = (self.rng.uniform(60.0, window) for _ in range(count))
        return sorted(self.now - timedelta(seconds=age) for age in ages)

    def price(self) -> float:
        """What Bitcoin may have cost at some time of the last month."""
        return round(market.OPENING_PRICE + self.rng.gauss(0.0, 900.0), 2)


def create(directory: Path, *, seed: int = DEFAULT_SEED, now: datetime | None = None) -> None:
    """Write all seven files into `directory`, which is made where it is missing.

    `now`, an aware time, is where the history ends. Raises AlreadyThere before writing anything.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if there := [name for name in files.FILES if (directory / name).exists()]:
        raise AlreadyThere(f"{directory} already holds {', '.join(there)}")
    moment = now or datetime.now(UTC)
    for name, write in _WRITERS.items():
        with closing(sqlite3.connect(directory / name)) as connection:
            write(_Page(directory, connection, Random(f"{seed}/{name}"), moment))
            connection.commit()


def _write_trades(page: _Page) -> None:
    page.connection.execute(ddl.load("trades"))
    moments = page.moments(TRADES + TRADES // ORDERS_BETWEEN_ERRORS)
    last_minutes = sorted(page.rng.uniform(60.0, 1_500.0) for _ in range(ACTIVE_TRADES))
    moments[0] = clock.repeated_hour(page.now - timedelta(days=DAYS)) + timedelta(minutes=10)
    moments[-ACTIVE_TRADES:] = [page.now - timedelta(seconds=age) for age in last_minutes[::-1]]
    first_open = len(moments) - ACTIVE_TRADES
    for number, moment in enumerate(moments, start=1):
        if number == TRADES_BEFORE_TICKETS + 1:
            page.connection.execute(ddl.load("ticket_id"))
        if number == 1:
            _write_night_trade(page, moment)
            continue
        trade = _place(page, moment, with_ticket=number > TRADES_BEFORE_TICKETS)
        if number % ORDERS_BETWEEN_ERRORS == 0:
            trades.fail(page.connection, trade)
            trades.purge(page.connection)
            continue
        trades.confirm(page.connection, trade)
        if number <= first_open:
            _end(page, trade, moment + timedelta(seconds=page.rng.uniform(30.0, 1_800.0)))


def _write_night_trade(page: _Page, moment: datetime) -> None:
    """A trade that had everything: an average price with many digits, a momentum of '0', and a
    close in the hour that the clocks show twice.
    """
    contract = market.Contract(117_750, clock.new_york(moment).replace(minute=0, second=0))
    trade = _place(
        page,
        moment,
        with_ticket=False,
        buy_price=(0.37 + 0.37 + 0.38) / 3,
        momentum="0",
        strike=contract.strike_text,
        ticker=contract.ticker,
        contract=contract.label,
    )
    trades.confirm(page.connection, trade)
    trades.begin_close(page.connection, trade, "manual")
    trades.close(page.connection, trade, moment + timedelta(minutes=20), page.price())


def _place(page: _Page, moment: datetime, *, with_ticket: bool, **known: object) -> trades.Trade:
    order = trades.new_order(page.rng, moment, page.price()) | known
    if not with_ticket:
        del order["ticket_id"]
    trades.place(page.connection, order)
    (row,) = page.connection.execute(trades.BEFORE_TICKETS, ("pending",))
    return trades.Trade.from_row(row)


def _end(page: _Page, trade: trades.Trade, moment: datetime) -> None:
    if page.rng.random() < 0.3:
        trades.expire(page.connection, trade, moment, page.price())
    else:
        trades.begin_close(page.connection, trade, page.rng.choice(("manual", "auto")))
        trades.close(page.connection, trade, moment, page.price())


def _write_active_trades(page: _Page) -> None:
    """The trades that are open in trades.db, under ids that show how many came before."""
    page.connection.execute(ddl.load("active_trades"))
    page.connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('active_trades', ?)",
        (TRADES - ACTIVE_TRADES,),
    )
    with closing(sqlite3.connect(page.directory / files.TRADES)) as trades_file:
        open_trades = trades_file.execute(active_trades.OPEN_TRADES).fetchall()
    for open_trade in open_trades:
        active_trades.follow(page.connection, open_trade)
    for active in page.connection.execute(active_trades.ACTIVE).fetchall():
        active_trades.value(page.connection, active, market.OPENING_PRICE, page.now)


def _write_positions(page: _Page) -> None:
    page.connection.execute(ddl.load("positions"))
    tickers: set[str] = set()
    while len(tickers) < POSITIONS:
        contract = market.choose_contract(page.rng, page.moments(1)[0], page.price())
        tickers.add(contract.ticker)
    page.connection.executemany(
        inserts.sqlite("positions", account.POSITION_COLUMNS),
        [account.new_position(page.rng, page.now, ticker) for ticker in sorted(tickers)],
    )
    page.connection.execute(ddl.load("positions_ticker"))


def _reports(
    table: str,
    columns: tuple[str, ...],
    count: int,
    new: Callable[[Random, datetime, float], account.Row],
) -> Callable[[_Page], None]:
    """The writer of a file that holds one kind of the exchange's reports."""

    def write(page: _Page) -> None:
        page.connection.execute(ddl.load(table))
        page.connection.executemany(
            inserts.sqlite(table, columns),
            [new(page.rng, moment, page.price()) for moment in page.moments(count)],
        )

    return write


def _write_prices(page: _Page) -> None:
    page.connection.execute(ddl.load("price_log"))
    # Where clocks are put back an hour's texts come twice, and the later price stays.
    page.connection.executemany(
        inserts.sqlite("price_log", ("timestamp", "price"), Conflict.REPLACE), _prices(page)
    )


def _prices(page: _Page) -> Iterator[tuple[str, float]]:
    """One session a day. The first begins where the watcher's 30 days end: from its first
    second on it deletes a price for each that it writes."""
    session = timedelta(seconds=WATCHED_SECONDS_A_DAY)
    step = (_watched(page.now) - session) / (DAYS - 1)
    price = market.OPENING_PRICE
    for days_left in reversed(range(DAYS)):
        start = page.now - session - days_left * step
        for second in range(1, WATCHED_SECONDS_A_DAY + 1):
            price = market.next_price(page.rng, price)
            yield clock.second(start + timedelta(seconds=second)), price
        price = market.next_price(page.rng, price, seconds=(step - session).total_seconds())


def _watched(now: datetime) -> timedelta:
    """How long ago New York's clocks showed what they show now less 30 days: an hour more or less
    than that where they were changed since."""
    kept = timedelta(days=DAYS)
    shown = clock.new_york(now) - clock.new_york(now - kept)
    return kept + (kept - shown)


_WRITERS: Final[dict[str, Callable[[_Page], None]]] = {
    files.TRADES: _write_trades,
    files.ACTIVE_TRADES: _write_active_trades,
    files.POSITIONS: _write_positions,
    files.FILLS: _reports("fills", account.FILL_COLUMNS, FILLS, account.new_fill),
    files.ORDERS: _reports("orders", account.ORDER_COLUMNS, ORDERS, account.new_order),
    files.SETTLEMENTS: _reports(
        "settlements", account.SETTLEMENT_COLUMNS, SETTLEMENTS, account.new_settlement
    ),
    files.PRICE_HISTORY: _write_prices,
}


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def main(argv: list[str] | None = None) -> int:
    """The command line; the exit code is 2 where a file is already there."""
    parser = argparse.ArgumentParser(prog="python -m cdc.demo.history", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--now", type=_aware, help="where history ends (ISO 8601, default now)")
    options = parser.parse_args(argv)
    try:
        create(options.directory, seed=options.seed, now=options.now)
    except AlreadyThere as error:
        print(f"{error}; remove them, or choose another directory.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
