"""A service of the reference system that gives up no write, whichever side is master.

`python trading.py SERVICE FOLDER DSN LEDGER SEED`. It opens the files as the services do, for each
transaction anew, with their timeouts and statements. A write that is refused is tried on the other
side, and again on this one, until one of them has acknowledged it; then it goes into the ledger,
one line of JSON each: what was written, its number, the side, when it was begun and acknowledged.
It ends when its standard input is closed.
"""

import json
import random
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from cdc.demo import inserts
from cdc.demo.account import FILL_COLUMNS, POSITION_COLUMNS, SETTLEMENT_COLUMNS
from cdc.demo.inserts import Conflict
from cdc.demo.services.desk import Tally
from cdc.demo.services.sqlite_desk import DEFAULT_TIMEOUT_SECONDS, SqliteDesk

PAUSE_SECONDS = 0.03
TICKERS = 5
KEPT_TICKS = 40
LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

Statement = tuple[str, str, list[tuple[object, ...]]]
"""What SQLite is told, what PostgreSQL is told, and the parameters of each time."""

REFUSED = (
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
)


def statement(text: str, *parameters: tuple[object, ...], conflict: str = "") -> Statement:
    """A statement for both sides. `conflict` is what PostgreSQL has for an OR clause of SQLite."""
    theirs = text.replace("?", "%s")
    for clause in ("OR IGNORE ", "OR REPLACE "):
        theirs = theirs.replace(clause, "")
    return text, f"{theirs} {conflict}", [*parameters] or [()]


def _upsert(key: str, columns: tuple[str, ...]) -> str:
    values = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"ON CONFLICT ({key}) DO UPDATE SET {values}"


def trade_manager(n: int) -> tuple[str, str, list[Statement]]:
    """Places trades, and leads them on; every third adds one to the counter."""
    if n % 3 == 0:
        count = "UPDATE trades SET position = position + 1 WHERE ticket_id = ?"
        return "count", "trades.db", [statement(count, ("counter",))]
    if n % 3 == 1:
        columns = ("date", "time", "strike", "side", "buy_price", "position", "status", "momentum",
                   "ticket_id")  # fmt: skip
        row = ("2025-08-01", "12:00:00", "$117,750", "Y", (2 * 0.61 + 0.62) / 3, 1, "pending", "0",
               f"t{n}")  # fmt: skip
        return "place", "trades.db", [statement(inserts.sqlite("trades", columns), row)]
    confirm = "UPDATE trades SET status = 'open', fees = ? WHERE ticket_id = ?"
    return "confirm", "trades.db", [statement(confirm, (n / 7, f"t{n - 1}"))]


def active_trade_supervisor(n: int) -> tuple[str, str, list[Statement]]:
    """Updates every active row, enters one and takes an old one out."""
    mark = statement(
        "UPDATE active_trades SET time_since_entry = time_since_entry + 1, current_pnl = ?",
        (f"{n / 3}",),
    )
    columns = ("trade_id", "ticket_id", "date", "time", "strike", "side", "buy_price", "position",
               "time_since_entry")  # fmt: skip
    row = (n, f"a{n}", "2025-08-01", "12:00:00", "$117,750", "N", n / 11, 2, 0)
    enter = statement(inserts.sqlite("active_trades", columns), row)
    leave = statement("DELETE FROM active_trades WHERE trade_id = ?", (n - 5,))
    return "mark", "active_trades.db", [mark, enter, leave]


def account_sync(n: int) -> tuple[str, str, list[Statement]]:
    """Sends the latest fills again, adds settlements, replaces positions or writes all anew."""
    if n % 4 == 0:
        insert = inserts.sqlite("fills", FILL_COLUMNS, Conflict.IGNORE)
        page = [
            (f"f{i}", "K", f"o{i}", "yes", "buy", 1, 40, 60, i % 2, "2025-08-01T12:00:00", "{}")
            for i in range(max(0, n - 20), n + 1, 4)
        ]
        return "fill", "fills.db", [statement(insert, *page, conflict="ON CONFLICT DO NOTHING")]
    if n % 4 == 1:
        insert = inserts.sqlite("settlements", SETTLEMENT_COLUMNS)
        row = (f"s{n}", "yes", 1, 0.1 + n, 0, 0.0, float(n), "2025-08-01T12:00:00", "{}")
        return "settle", "settlements.db", [statement(insert, row)]
    if n % 4 == 2:
        insert = inserts.sqlite("positions", POSITION_COLUMNS, Conflict.REPLACE)
        conflict = _upsert("ticker", POSITION_COLUMNS[1:])
        row = _position(n % TICKERS, n)
        return "replace", "positions.db", [statement(insert, row, conflict=conflict)]
    insert = inserts.sqlite("positions", POSITION_COLUMNS)
    rows = [_position(ticker, n) for ticker in range(TICKERS)]
    anew = [statement("DELETE FROM positions"), statement(insert, *rows)]
    return "refresh", "positions.db", anew


def _position(ticker: int, n: int) -> tuple[object, ...]:
    return (f"K{ticker}", n, 1, 2, n / 3, 0.07, "2025-08-01T12:00:00", '{"n": 1}')


def price_watcher(n: int) -> tuple[str, str, list[Statement]]:
    """The price of a second, three times over, and old ones deleted, in one transaction."""
    insert = inserts.sqlite("price_log", ("timestamp", "price"), Conflict.REPLACE)
    tick = statement(insert, (second(n), n + 0.25), conflict=_upsert("timestamp", ("price",)))
    old = statement("DELETE FROM price_log WHERE timestamp < ?", (second(n - 3 * KEPT_TICKS),))
    return "tick", "btc_price_history.db", [tick, old]


def second(n: int) -> str:
    """The second that the tick of this number belongs to."""
    return f"2025-08-01T{n // 3 + 1_000:06d}"


SERVICES: dict[str, Callable[[int], tuple[str, str, list[Statement]]]] = {
    each.__name__: each
    for each in (trade_manager, active_trade_supervisor, account_sync, price_watcher)
}
TIMEOUTS = {"trade_manager": 0.25}


class Sides:
    """Both databases, each of which may be asked."""

    def __init__(self, service: str, folder: Path, dsn: str, level: str) -> None:
        timeout = TIMEOUTS.get(service, DEFAULT_TIMEOUT_SECONDS)
        self._changed = False
        self._desk = SqliteDesk(Tally(service), folder, timeout_seconds=timeout)
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._conn.execute(f"SET default_transaction_isolation = '{level}'".encode())

    def write(self, side: str, file: str, statements: list[Statement]) -> bool:
        """Whether this side has acknowledged the write."""
        if side == "sqlite":
            self._changed = False
            return self._desk.attempt(lambda: self._to_sqlite(file, statements)) and self._changed
        try:
            with self._conn.transaction(), self._conn.cursor() as cursor:
                for _, text, parameters in statements:
                    cursor.executemany(text.encode(), parameters)
        except REFUSED:
            return False
        return True

    def _to_sqlite(self, file: str, statements: list[Statement]) -> None:
        with self._desk.transaction(file) as session:
            for text, _, parameters in statements:
                for row in parameters:
                    session.execute(text, row)
            # A frozen file lets an UPDATE pass that matches no row: nothing was written then.
            self._changed = session.changed


def _until_told(rng: random.Random, pause: float) -> Iterator[None]:
    """One turn after the other, until standard input is closed."""
    while not select.select([sys.stdin], [], [], rng.uniform(0, 2 * pause))[0]:
        yield


def _main() -> None:
    service, folder, dsn, ledger, seed = sys.argv[1:]
    rng = random.Random(f"{service}{seed}")
    sides = Sides(service, Path(folder), dsn, rng.choice(LEVELS))
    side, n = "sqlite", 0
    with open(ledger, "a", encoding="utf-8", buffering=1) as out:  # noqa: PTH123
        for _ in _until_told(rng, PAUSE_SECONDS):
            kind, file, statements = SERVICES[service](n)
            began = time.time()
            if sides.write(side, file, statements):
                out.write(json.dumps([kind, n, side, began, time.time()]) + "\n")
                n += 1
            else:
                side = "postgres" if side == "sqlite" else "sqlite"


if __name__ == "__main__":
    _main()
