"""What a service was told is written, held against what is there.

Every acknowledged write leaves here how its row must look from then on. A service is the only
writer of its rows, so whatever else is found was lost, came twice, or came back from the dead.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.demo import files
from cdc.demo.session import Session

Key = tuple[Any, ...]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Home:
    """Where the rows of a table are, and by which columns one is known again."""

    file: str
    key: tuple[str, ...]


HOMES: Final[Mapping[str, Home]] = {
    "trades": Home(files.TRADES, ("ticket_id",)),
    "active_trades": Home(files.ACTIVE_TRADES, ("trade_id",)),
    "positions": Home(files.POSITIONS, ("ticker",)),
    "fills": Home(files.FILLS, ("trade_id",)),
    "orders": Home(files.ORDERS, ("order_id",)),
    "settlements": Home(files.SETTLEMENTS, ("ticker", "settled_time")),
    "price_log": Home(files.PRICE_HISTORY, ("timestamp",)),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One row of a transaction: the columns it must show, None where it must be gone.

    `known` says that the row may have been there before, and then was left as it was.
    """

    table: str
    key: Key
    values: Mapping[str, Any] | None
    known: bool = False


@dataclass(slots=True)
class Receipts:
    """What one transaction writes, as the service tells it; it counts once that is committed."""

    rows: list[Receipt] = field(default_factory=list)

    def wrote(self, table: str, *key: Any, **values: Any) -> None:
        """A row is there, and shows these values."""
        self.rows.append(Receipt(table, key, values))

    def sent(self, table: str, *key: Any) -> None:
        """A row is there, be it an older one."""
        self.rows.append(Receipt(table, key, {}, known=True))

    def deleted(self, table: str, *key: Any) -> None:
        """No such row is there any more."""
        self.rows.append(Receipt(table, key, None))


@dataclass(slots=True)
class Count:
    """What checks of the ledger came to, in rows."""

    checked: int = 0
    lost: int = 0
    doubled: int = 0


class Ledger:
    """The rows that one service has written, by table and key."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, Mapping[str, Any] | None]] = {}
        self.count = Count()

    def acknowledge(self, receipts: Iterable[Receipt]) -> None:
        """The database has said that these are committed."""
        for receipt in receipts:
            rows = self._rows.setdefault(receipt.table, {})
            if not receipt.known or rows.get(receipt.key) is None:
                rows[receipt.key] = receipt.values

    def doubt(self, receipts: Iterable[Receipt]) -> None:
        """The answer to a COMMIT was lost: nobody knows how these rows must look."""
        for receipt in receipts:
            self._rows.get(receipt.table, {}).pop(receipt.key, None)

    @property
    def tables(self) -> list[str]:
        """Those of which there is something to check."""
        return [table for table, rows in self._rows.items() if rows]

    def check(self, table: str, session: Session) -> None:
        """Look for every row of a table, and count what is not as it must be."""
        found = {}
        for key, values in self._rows[table].items():
            where = " AND ".join(f"{name} = ?" for name in HOMES[table].key)
            shown = ", ".join(values or ()) or "1"
            query = f"SELECT {shown} FROM {table} WHERE {where}"
            found[key] = list(session.execute(query, key))
        # All could be read: only now it counts.
        for key, rows in found.items():
            self._compare(table, key, self._rows[table][key], rows)

    def _compare(
        self, table: str, key: Key, values: Mapping[str, Any] | None, found: list[tuple[Any, ...]]
    ) -> None:
        self.count.checked += 1
        wanted = None if values is None else tuple(values.values()) or (1,)
        if len(found) > 1:
            self.count.doubled += 1
        elif (found[0] if found else None) != wanted:
            self.count.lost += 1
        else:
            return
        log.error("%s %s was acknowledged as %s, and is %s", table, key, values, found)
