"""Copies the account from the exchange: positions, fills, orders, settlements."""

import sys
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from cdc.demo import account, ddl, files, market
from cdc.demo.inserts import Conflict
from cdc.demo.services.desk import Desk
from cdc.demo.services.ledger import HOMES, Receipts
from cdc.demo.services.service import Service, Task, serve

_PAGE: Final = 50
"""So many of its latest reports the exchange sends whenever it is asked."""

_MOST_POSITIONS: Final = 30


class Reports:
    """One kind of the exchange's reports, with the file and the table that it is copied to."""

    def __init__(
        self,
        desk: Desk,
        file: str,
        columns: tuple[str, ...],
        new: Callable[[Random, datetime, float], account.Row],
    ) -> None:
        self.table = file.removesuffix(".db")
        self.page: deque[account.Row] = deque(maxlen=_PAGE)
        self._desk = desk
        self._file = file
        self._columns = columns
        self._new = new

    def prepare(self) -> int:
        """Make the table where it is missing, and know the latest reports; their number so far."""
        self._desk.migrate(self._file, lambda file: file.execute(ddl.load(self.table)))
        latest = f"SELECT {', '.join(self._columns)} FROM {self.table} ORDER BY id DESC LIMIT ?"
        self.page = deque(reversed(self._desk.read(self._file, latest, (_PAGE,))), maxlen=_PAGE)
        newest = self._desk.read(self._file, f"SELECT max(id) FROM {self.table}")
        return int(newest[0][0] or 0)

    def happen(self, rng: Random, count: int) -> list[account.Row]:
        """New reports, which the exchange sends from now on whether they were stored or not."""
        price = market.OPENING_PRICE + rng.gauss(0.0, 500.0)
        fresh = [self._new(rng, datetime.now(UTC), price) for _ in range(count)]
        self.page.extend(fresh)
        return fresh

    def store(self, rows: Iterable[account.Row], conflict: Conflict = Conflict.FAIL) -> None:
        """Insert reports in one transaction."""
        reports = list(rows)
        with self._desk.transaction(self._file) as session:
            session.insert(self.table, self._columns, reports, conflict)
            for report in reports:
                self._note(session.receipts, report, conflict)

    def _note(self, receipts: Receipts, report: account.Row, conflict: Conflict) -> None:
        fields = dict(zip(self._columns, report, strict=True))
        key = [fields[name] for name in HOMES[self.table].key]
        if conflict is Conflict.IGNORE:
            receipts.sent(self.table, *key)
        else:
            receipts.wrote(self.table, *key, raw_json=fields["raw_json"])


class AccountSync(Service):
    """The only writer of four files. Being sent what it knows already is its daily business."""

    name: ClassVar[str] = "account_sync"

    def __init__(self, desk: Desk, seed: int, directory: Path) -> None:
        super().__init__(desk, seed, directory)
        self._fills = Reports(desk, files.FILLS, account.FILL_COLUMNS, account.new_fill)
        self._orders = Reports(desk, files.ORDERS, account.ORDER_COLUMNS, account.new_order)
        self._settlements = Reports(
            desk, files.SETTLEMENTS, account.SETTLEMENT_COLUMNS, account.new_settlement
        )
        self._positions: dict[str, account.Row] = {}

    def prepare(self) -> None:
        known = [kind.prepare() for kind in (self._fills, self._orders, self._settlements)]
        self.desk.migrate(files.POSITIONS, lambda file: file.execute(ddl.load("positions")))
        columns = ", ".join(account.POSITION_COLUMNS)
        rows = self.desk.read(files.POSITIONS, f"SELECT {columns} FROM positions ORDER BY id")
        self._positions = {row[0]: row for row in rows}
        self._rng = self.chance("exchange", after=known)

    def tasks(self) -> Iterable[Task]:
        return (
            Task(1.0, self.replace_position),
            Task(5.0, self.refresh_positions),
            Task(2.0, self.sync_fills),
            Task(2.0, self.sync_orders),
            Task(6.0, self.insert_settlements),
            Task(5.0, self.resend_settlements),
            Task(7.0, self.correct_settlement),
        )

    def sync_fills(self) -> None:
        """The exchange sends its latest fills; most are known."""
        self._fills.happen(self._rng, self._rng.randint(0, 3))
        self._fills.store(self._fills.page, Conflict.IGNORE)

    def sync_orders(self) -> None:
        """The exchange sends its latest orders; most are known."""
        self._orders.happen(self._rng, self._rng.randint(0, 3))
        self._orders.store(self._orders.page, Conflict.IGNORE)

    def insert_settlements(self) -> None:
        """A contract ended: several new settlements, inserted without any precaution."""
        self._settlements.store(self._settlements.happen(self._rng, self._rng.randint(2, 6)))

    def resend_settlements(self) -> None:
        """The exchange sends its latest settlements, of which one may be new."""
        self._settlements.happen(self._rng, self._rng.randint(0, 1))
        self._settlements.store(self._settlements.page, Conflict.IGNORE)

    def correct_settlement(self) -> None:
        """The exchange corrects what it paid: the row takes a new id."""
        if page := self._settlements.page:
            index = self._rng.randrange(len(page))
            page[index] = account.corrected_settlement(self._rng, page[index])
            self._settlements.store([page[index]], Conflict.REPLACE)

    def replace_position(self) -> None:
        """One market's position changed: written without its id, so the row takes a new one."""
        row = self._changed_position()
        self._positions[row[0]] = row
        self.desk.migrate(files.POSITIONS, lambda file: file.execute(ddl.load("positions_ticker")))
        with self.desk.transaction(files.POSITIONS) as session:
            session.insert("positions", account.POSITION_COLUMNS, [row], Conflict.REPLACE)
            _note_position(session.receipts, row)

    def refresh_positions(self) -> None:
        """All positions as they are now, in place of all that were there."""
        tickers = list(self._positions)
        ended, held = tickers[:-_MOST_POSITIONS], tickers[-_MOST_POSITIONS:]
        rows = [self._positions[ticker] for ticker in held]
        with self.desk.transaction(files.POSITIONS) as session:
            session.execute("DELETE FROM positions")
            session.insert("positions", account.POSITION_COLUMNS, rows)
            for ticker in ended:
                session.receipts.deleted("positions", ticker)
            for row in rows:
                _note_position(session.receipts, row)
        self._positions = {row[0]: row for row in rows}

    def _changed_position(self) -> account.Row:
        """A position of a market that is held, or now and then of a new one."""
        now = datetime.now(UTC)
        if not self._positions or self._rng.random() < 0.15:
            price = market.OPENING_PRICE + self._rng.gauss(0.0, 500.0)
            ticker = market.choose_contract(self._rng, now, price).ticker
        else:
            ticker = self._rng.choice(list(self._positions))
        return account.new_position(self._rng, now, ticker)


def _note_position(receipts: Receipts, row: account.Row) -> None:
    receipts.wrote("positions", row[0], raw_json=row[-1])


if __name__ == "__main__":
    sys.exit(serve(AccountSync))
