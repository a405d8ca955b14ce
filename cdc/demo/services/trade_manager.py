"""Places trades and leads them through their life. It waits only a quarter second for a lock."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, Final

from cdc.demo import ddl, files, trades
from cdc.demo.services.desk import Transaction
from cdc.demo.services.service import Service, Task, serve
from cdc.demo.session import Session

_MOST_OPEN: Final = 10
_FEWEST_OPEN: Final = 4
"""The number of open trades stays about where the history left it."""

_REFUSED_ORDERS: Final = 0.2
"""Share of the orders that the exchange refuses."""


class TradeManager(Service):
    """The only writer of the trades. What it has to do next it reads from their status, so a
    step that met a lock is simply done the next time."""

    name: ClassVar[str] = "trade_manager"
    timeout_seconds: ClassVar[float] = 0.25

    def prepare(self) -> None:
        self.desk.migrate(files.TRADES, _make_table)
        newest = self.desk.read(files.TRADES, "SELECT max(id) FROM trades")
        self._rng = self.chance("trades", after=newest[0][0])

    def tasks(self) -> Iterable[Task]:
        return (
            Task(2.0, self.place),
            Task(1.0, self.confirm),
            Task(3.0, self.begin_close),
            Task(1.0, self.finish_close),
            Task(7.0, self.expire),
            Task(4.0, self.purge),
        )

    def place(self) -> None:
        """Insert one pending trade, unless enough are open."""
        if self.trading_locked() or len(self._trades("open")) >= _MOST_OPEN:
            return
        order = trades.new_order(self._rng, datetime.now(UTC), self.latest_price())
        with self.desk.transaction(files.TRADES) as session:
            trades.place(session, order)
            session.receipts.wrote("trades", order["ticket_id"], status="pending")

    def confirm(self) -> None:
        """Learn of each pending trade whether the exchange took it."""
        for trade in self._trades("pending"):
            taken = self._rng.random() >= _REFUSED_ORDERS
            with self.desk.transaction(files.TRADES) as session:
                (trades.confirm if taken else trades.fail)(session, trade)
                _note(session, trade, status="open" if taken else "error")

    def begin_close(self) -> None:
        """Choose an open trade and send its closing order."""
        if self.trading_locked():
            return
        if trade := self._one_open():
            method = self._rng.choice(("manual", "auto"))
            with self.desk.transaction(files.TRADES) as session:
                trades.begin_close(session, trade, method)
                _note(session, trade, status="closing")

    def finish_close(self) -> None:
        """Write the result of each trade whose closing order was executed."""
        for trade in self._trades("closing"):
            price = self.latest_price()
            with self.desk.transaction(files.TRADES) as session:
                trades.close(session, trade, datetime.now(UTC), price)
                _note(session, trade, status="closed")

    def expire(self) -> None:
        """A contract ends, and with it every open trade of its ticker."""
        if trade := self._one_open():
            price = self.latest_price()
            ended = [each for each in self._trades("open") if each.ticker == trade.ticker]
            with self.desk.transaction(files.TRADES) as session:
                trades.expire(session, trade, datetime.now(UTC), price)
                for each in ended:
                    _note(session, each, status="expired")

    def purge(self) -> None:
        """Delete the trades that the exchange refused."""
        refused = self._trades("error")
        with self.desk.transaction(files.TRADES) as session:
            trades.purge(session)
            for trade in refused:
                session.receipts.deleted("trades", trade.ticket)

    def _trades(self, status: str) -> list[trades.Trade]:
        rows = self.desk.read(files.TRADES, trades.BY_STATUS, (status,))
        return [trades.Trade.from_row(row) for row in rows]

    def _one_open(self) -> trades.Trade | None:
        still_open = self._trades("open")
        return self._rng.choice(still_open) if len(still_open) > _FEWEST_OPEN else None


def _make_table(file: Session) -> None:
    file.execute(ddl.load("trades"))
    columns = {row[1] for row in file.execute("PRAGMA table_info(trades)")}
    if "ticket_id" not in columns:
        file.execute(ddl.load("ticket_id"))


def _note(session: Transaction, trade: trades.Trade, *, status: str) -> None:
    """Trades of the time before there were tickets are not known apart."""
    if trade.ticket is not None:
        session.receipts.wrote("trades", trade.ticket, status=status)


if __name__ == "__main__":
    sys.exit(serve(TradeManager))
