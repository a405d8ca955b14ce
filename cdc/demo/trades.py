"""The life of a trade, in the statements that the trade manager runs.

pending ──> open ──> closing ──> closed
   │          └────────────────> expired     all trades of a ticker at once
   └──> error ──> deleted
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final, Self

from cdc.demo import clock, inserts, market
from cdc.demo.session import Session

Order = dict[str, object]
"""The columns of a new trade, by name."""

_CONFIRM: Final = "UPDATE trades SET status = 'open', buy_price = ?, fees = ? WHERE id = ?"
_FAIL: Final = "UPDATE trades SET status = 'error' WHERE id = ?"
_BEGIN_CLOSE: Final = "UPDATE trades SET status = 'closing', close_method = ? WHERE id = ?"
_CLOSE: Final = """
    UPDATE trades
    SET status = 'closed', closed_at = ?, sell_price = ?, pnl = ?, symbol_close = ?, win_loss = ?
    WHERE id = ?
"""
_EXPIRE: Final = """
    UPDATE trades
    SET status = 'expired', close_method = 'expired', closed_at = ?, symbol_close = ?,
        sell_price = CASE side WHEN ? THEN 1.0 ELSE 0.0 END,
        win_loss = CASE side WHEN ? THEN 'W' ELSE 'L' END,
        pnl = round(position * (CASE side WHEN ? THEN 1.0 ELSE 0.0 END - buy_price), 2)
    WHERE ticker = ? AND status = 'open'
"""
_PURGE: Final = "DELETE FROM trades WHERE status = 'error'"

BY_STATUS: Final = """
    SELECT id, ticker, strike, side, buy_price, position, ticket_id
    FROM trades WHERE status = ? ORDER BY id
"""
BEFORE_TICKETS: Final = BY_STATUS.replace(", ticket_id", "")
"""The same while the table had no such column."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What the trade manager reads of a trade: a row of BY_STATUS, or of BEFORE_TICKETS."""

    id: int
    ticker: str
    strike: str
    side: str
    buy_price: float
    position: int
    ticket: str | None = None

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Self:
        return cls(*row)


def new_order(rng: Random, moment: datetime, price: float) -> Order:
    """An order for a contract near the money at an aware `moment`, not yet sent."""
    contract = market.choose_contract(rng, moment, price)
    side = rng.choice("YN")
    chance = market.probability(price, contract.strike, side)
    date, time = clock.second(moment).split("T")
    return {
        "date": date,
        "time": time,
        "strike": contract.strike_text,
        "side": side,
        "buy_price": _average_price(rng, round(chance, 2)),
        "position": rng.choice((1, 2, 5, 10, 25)),
        "status": "pending",
        "contract": contract.label,
        "symbol": "BTC",
        "market": "Kalshi",
        "trade_strategy": rng.choice(("Hourly HTC", "Momentum", "Manual")),
        "symbol_open": price,
        "momentum": _momentum(rng),
        "prob": chance,
        "volatility": round(rng.uniform(0.05, 0.95), 4),
        "ticker": contract.ticker,
        "entry_method": rng.choice(("manual", "auto")),
        "ticket_id": f"TICKET-{rng.getrandbits(44):011x}-{int(moment.timestamp() * 1000)}",
    }


def _average_price(rng: Random, price: float) -> float:
    """What was paid for one: an order executed in three parts has an average that nobody rounds."""
    return (2 * price + price + 0.01) / 3 if rng.random() < 0.1 else price


def _momentum(rng: Random) -> float | str:
    """Often text, as the code that reads it from a web page writes it; the column is REAL."""
    return str(rng.randint(-3, 3)) if rng.random() < 0.4 else round(rng.gauss(0.0, 4.0), 2)


def place(session: Session, order: Mapping[str, object]) -> None:
    """Insert a pending trade."""
    session.execute(inserts.sqlite("trades", tuple(order)), tuple(order.values()))


def confirm(session: Session, trade: Trade) -> None:
    """The exchange executed the order: pending -> open, with the fee."""
    fee = market.fees(trade.buy_price, trade.position)
    session.execute(_CONFIRM, (trade.buy_price, fee, trade.id))


def fail(session: Session, trade: Trade) -> None:
    """The exchange refused the order: pending -> error."""
    session.execute(_FAIL, (trade.id,))


def begin_close(session: Session, trade: Trade, method: str) -> None:
    """A closing order is on its way: open -> closing."""
    session.execute(_BEGIN_CLOSE, (method, trade.id))


def close(session: Session, trade: Trade, moment: datetime, price: float) -> None:
    """The closing order was executed: closing -> closed, with the result."""
    sold = round(market.probability(price, market.strike_dollars(trade.strike), trade.side), 2)
    pnl = round((sold - trade.buy_price) * trade.position, 2)
    outcome = "W" if pnl > 0 else "L"
    session.execute(_CLOSE, (clock.second(moment), sold, pnl, price, outcome, trade.id))


def expire(session: Session, trade: Trade, moment: datetime, price: float) -> None:
    """The trade's contract has ended: every open trade of its ticker -> expired."""
    winner = "Y" if price >= market.strike_dollars(trade.strike) else "N"
    session.execute(_EXPIRE, (clock.second(moment), price, winner, winner, winner, trade.ticker))


def purge(session: Session) -> None:
    """Delete the trades whose orders were refused."""
    session.execute(_PURGE)
