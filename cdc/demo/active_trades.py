"""The open trades with their valuation, in the statements that the supervisor runs."""

from datetime import datetime
from typing import Any, Final

from cdc.demo import clock, inserts, market
from cdc.demo.session import Session

_COPIED: Final = (
    "ticket_id",
    "date",
    "time",
    "strike",
    "side",
    "buy_price",
    "position",
    "contract",
    "ticker",
    "symbol",
    "market",
    "trade_strategy",
    "symbol_open",
    "momentum",
    "prob",
    "fees",
)
"""The columns that an active trade takes over from its trade, under the same names."""

_INSERT: Final = inserts.sqlite("active_trades", ("trade_id", *_COPIED))
_VALUE: Final = """
    UPDATE active_trades
    SET current_symbol_price = ?, current_probability = ?, buffer_from_entry = ?,
        time_since_entry = ?, current_close_price = ?, current_pnl = ?, diff = ?,
        last_updated = ?
    WHERE trade_id = ?
"""
_DELETE: Final = "DELETE FROM active_trades WHERE trade_id = ?"
_RENAME: Final = "ALTER TABLE active_trades RENAME COLUMN current_price TO current_symbol_price"

OPEN_TRADES: Final = f"""
    SELECT id, {", ".join(_COPIED)} FROM trades WHERE status IN ('open', 'closing') ORDER BY id
"""
ACTIVE: Final = """
    SELECT trade_id, strike, side, buy_price, position, prob, date, time
    FROM active_trades ORDER BY id
"""


def rename_old_column(session: Session) -> None:
    """Bring a file of an older release up to date, as the supervisor does when it starts."""
    columns = {row[1] for row in session.execute("PRAGMA table_info(active_trades)")}
    if "current_price" in columns:
        session.execute(_RENAME)


def follow(session: Session, open_trade: tuple[Any, ...]) -> None:
    """Begin to value a trade; `open_trade` is a row of OPEN_TRADES."""
    session.execute(_INSERT, open_trade)


def forget(session: Session, trade_id: int) -> None:
    """The trade is no longer open."""
    session.execute(_DELETE, (trade_id,))


def value(session: Session, active: tuple[Any, ...], price: float, now: datetime) -> str:
    """Write what a trade is worth with Bitcoin at `price` dollars; its profit or loss, as written.

    `active` is a row of ACTIVE.
    """
    trade_id, strike, side, buy_price, position, prob, date, time = active
    dollars = market.strike_dollars(strike)
    chance = market.probability(price, dollars, side)
    pnl = f"{(chance - buy_price) * position:.2f}"
    session.execute(
        _VALUE,
        (
            price,
            chance,
            round(price - dollars if side == "Y" else dollars - price, 2),
            _age_seconds(f"{date}T{time}", now),
            round(chance, 2),
            pnl,
            f"{100 * (chance - prob):+.0f}",
            clock.utc_second(now),
            trade_id,
        ),
    )
    return pnl


def _age_seconds(entered: str, now: datetime) -> int:
    """The difference of two wall clocks, wrong over a change of clocks like the service's own."""
    return int((clock.new_york(now) - datetime.fromisoformat(entered)).total_seconds())
