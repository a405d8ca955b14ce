"""Follows every open trade and values it once a second."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar

from cdc.demo import active_trades, ddl, files
from cdc.demo.services.service import Service, Task, serve
from cdc.demo.session import Session


class ActiveTradeSupervisor(Service):
    """The only writer of the active trades; a reader of the trades and the prices."""

    name: ClassVar[str] = "active_trade_supervisor"

    def prepare(self) -> None:
        def make_table(file: Session) -> None:
            file.execute(ddl.load("active_trades"))
            active_trades.rename_old_column(file)

        self.desk.migrate(files.ACTIVE_TRADES, make_table)

    def tasks(self) -> Iterable[Task]:
        return (Task(1.0, self.supervise),)

    def supervise(self) -> None:
        """Take up the trades that were opened, drop those that ended, value the rest."""
        opened = {row[0]: row for row in self.desk.read(files.TRADES, active_trades.OPEN_TRADES)}
        followed = {row[0] for row in self.desk.read(files.ACTIVE_TRADES, active_trades.ACTIVE)}
        for trade_id, trade in opened.items():
            if trade_id not in followed:
                with self.desk.transaction(files.ACTIVE_TRADES) as session:
                    active_trades.follow(session, trade)
                    session.receipts.wrote("active_trades", trade_id, current_pnl=None)
        for trade_id in followed - opened.keys():
            with self.desk.transaction(files.ACTIVE_TRADES) as session:
                active_trades.forget(session, trade_id)
                session.receipts.deleted("active_trades", trade_id)
        self._value_all()

    def _value_all(self) -> None:
        """A transaction a row, as the service has always done it."""
        price = self.latest_price()
        for active in self.desk.read(files.ACTIVE_TRADES, active_trades.ACTIVE):
            with self.desk.transaction(files.ACTIVE_TRADES) as session:
                pnl = active_trades.value(session, active, price, datetime.now(UTC))
                session.receipts.wrote("active_trades", active[0], current_pnl=pnl)


if __name__ == "__main__":
    sys.exit(serve(ActiveTradeSupervisor))
