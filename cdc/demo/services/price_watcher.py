"""Logs the price of Bitcoin each second, and keeps 30 days of it."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from cdc.demo import clock, ddl, files, market
from cdc.demo.inserts import Conflict
from cdc.demo.services.service import Service, Task, serve

_KEPT: Final = timedelta(days=30)
_COLUMNS: Final = ("timestamp", "price")
_PRUNE: Final = "DELETE FROM price_log WHERE timestamp < ?"


class PriceWatcher(Service):
    """The only writer of the price history. Above its normal pace it writes a second again."""

    name: ClassVar[str] = "price_watcher"

    def prepare(self) -> None:
        self._make_table()
        self._rng = self.chance("ticks")
        self._price = self.latest_price()

    def tasks(self) -> Iterable[Task]:
        return (Task(1.0, self.log_price),)

    def log_price(self) -> None:
        """One tick. The old prices are told by their text, as New York's clocks showed it."""
        self._price = market.next_price(self._rng, self._price)
        now = datetime.now(UTC)
        oldest = (clock.new_york(now) - _KEPT).isoformat(timespec="seconds")
        second = clock.second(now)
        self._make_table()
        with self.desk.transaction(files.PRICE_HISTORY) as session:
            session.insert("price_log", _COLUMNS, [(second, self._price)], Conflict.REPLACE)
            session.execute(_PRUNE, (oldest,))
            session.receipts.wrote("price_log", second, price=self._price)

    def _make_table(self) -> None:
        self.desk.migrate(files.PRICE_HISTORY, lambda file: file.execute(ddl.load("price_log")))


if __name__ == "__main__":
    sys.exit(serve(PriceWatcher))
