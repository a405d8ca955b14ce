"""Logs the price of Bitcoin each second, and keeps 30 days of it."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from cdc.demo import clock, ddl, files, market
from cdc.demo.services.service import Service, Task, serve

_KEPT: Final = timedelta(days=30)
_REPLACE: Final = ddl.insert("price_log", ("timestamp", "price"), conflict="OR REPLACE")
_PRUNE: Final = "DELETE FROM price_log WHERE timestamp < ?"


class PriceWatcher(Service):
    """The only writer of the price history. Above its normal pace it writes a second again."""

    name: ClassVar[str] = "price_watcher"

    def prepare(self) -> None:
        with self.desk.connection(files.PRICE_HISTORY) as connection:
            connection.execute(ddl.load("price_log"))
        self._rng = self.chance("ticks")
        self._price = self.latest_price()

    def tasks(self) -> Iterable[Task]:
        return (Task(1.0, self.log_price),)

    def log_price(self) -> None:
        """One tick. The old prices are told by their text, as New York's clocks showed it."""
        self._price = market.next_price(self._rng, self._price)
        now = datetime.now(UTC)
        oldest = (clock.new_york(now) - _KEPT).isoformat(timespec="seconds")
        with self.desk.transaction(files.PRICE_HISTORY) as connection:
            connection.execute(ddl.load("price_log"))
            connection.execute(_REPLACE, (clock.second(now), self._price))
            connection.execute(_PRUNE, (oldest,))


if __name__ == "__main__":
    sys.exit(serve(PriceWatcher))
