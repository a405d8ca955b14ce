"""What the exchange reports about the account, as rows of the legacy tables.

Each report is a JSON object of the exchange. Its row holds the fields that the table has columns
for, with times in New York, and the whole object as it came in `raw_json`.
"""

import json
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from cdc.demo import clock
from cdc.demo.market import choose_contract

Report = dict[str, object]
Row = tuple[Any, ...]

FILL_COLUMNS: Final = (
    "trade_id",
    "ticker",
    "order_id",
    "side",
    "action",
    "count",
    "yes_price",
    "no_price",
    "is_taker",
    "created_time",
    "raw_json",
)
ORDER_COLUMNS: Final = (
    "order_id",
    "user_id",
    "ticker",
    "status",
    "action",
    "side",
    "type",
    "yes_price",
    "no_price",
    "initial_count",
    "remaining_count",
    "fill_count",
    "created_time",
    "expiration_time",
    "last_update_time",
    "client_order_id",
    "order_group_id",
    "queue_position",
    "self_trade_prevention_type",
    "maker_fees",
    "taker_fees",
    "maker_fill_cost",
    "taker_fill_cost",
    "raw_json",
)
SETTLEMENT_COLUMNS: Final = (
    "ticker",
    "market_result",
    "yes_count",
    "yes_total_cost",
    "no_count",
    "no_total_cost",
    "revenue",
    "settled_time",
    "raw_json",
)
POSITION_COLUMNS: Final = (
    "ticker",
    "total_traded",
    "position",
    "market_exposure",
    "realized_pnl",
    "fees_paid",
    "last_updated_ts",
    "raw_json",
)

_TIME_FIELDS: Final = frozenset(
    ("created_time", "expiration_time", "last_update_time", "settled_time", "last_updated_ts")
)
_USER_ID: Final = "5f0c2c1e-7a44-4d0e-9f5b-3f6f1a7a9b21"
_AMENDED_ORDERS: Final = 0.06
"""Share of the orders that were amended; each amendment adds to the exchange's object."""


def _unique(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _row(report: Report, columns: tuple[str, ...]) -> Row:
    """The report's fields in the order of `columns`, the last of which is raw_json."""
    raw = json.dumps({name: _to_json(value) for name, value in report.items()})
    return (*(_to_column(name, report[name]) for name in columns[:-1]), raw)


def _to_json(value: object) -> object:
    return clock.exchange(value) if isinstance(value, datetime) else value


def _to_column(name: str, value: object) -> object:
    if name in _TIME_FIELDS and isinstance(value, datetime):
        return clock.microsecond(value)
    # As SQLite would store it; PostgreSQL would not take a boolean for a number.
    return int(value) if isinstance(value, bool) else value


def new_fill(rng: Random, moment: datetime, price: float) -> Row:
    """One execution at an aware `moment`, with Bitcoin at `price` dollars."""
    yes_price = rng.randint(3, 97)
    count = rng.choice((1, 1, 2, 5, 10, 25, 50))
    ticker = choose_contract(rng, moment, price).ticker
    return _row(
        {
            "trade_id": _unique(rng),
            "ticker": ticker,
            "order_id": _unique(rng),
            "side": rng.choice(("yes", "no")),
            "action": rng.choice(("buy", "sell")),
            "count": count,
            "yes_price": yes_price,
            "no_price": 100 - yes_price,
            "yes_price_fixed": f"{yes_price / 100:.4f}",
            "no_price_fixed": f"{1 - yes_price / 100:.4f}",
            "is_taker": rng.random() < 0.7,
            "created_time": moment,
            "market_ticker": ticker,
            "purchased_side": rng.choice(("yes", "no")),
            "client_order_id": _unique(rng),
            "ts": int(moment.timestamp()),
        },
        FILL_COLUMNS,
    )


def new_order(rng: Random, moment: datetime, price: float) -> Row:
    """One order placed at an aware `moment`, most of them executed at once."""
    yes_price, count = rng.randint(3, 97), rng.choice((1, 2, 5, 10, 25, 50, 100))
    status = rng.choices(("executed", "canceled", "resting"), (80, 15, 5))[0]
    filled = count if status == "executed" else rng.randint(0, count // 2)
    taken = rng.randint(0, filled)
    report: Report = {
        "order_id": _unique(rng),
        "user_id": _USER_ID,
        "ticker": choose_contract(rng, moment, price).ticker,
        "status": status,
        "action": rng.choice(("buy", "sell")),
        "side": rng.choice(("yes", "no")),
        "type": rng.choices(("limit", "market"), (9, 1))[0],
        "yes_price": yes_price,
        "no_price": 100 - yes_price,
        "initial_count": count,
        "remaining_count": count - filled if status == "resting" else 0,
        "fill_count": filled,
        "created_time": moment,
        "expiration_time": moment + timedelta(minutes=10) if rng.random() < 0.3 else None,
        "last_update_time": moment + timedelta(microseconds=rng.randint(900, 4_000_000)),
        "client_order_id": _unique(rng),
        "order_group_id": "",
        "queue_position": rng.randint(0, 4_000) if status == "resting" else 0,
        "self_trade_prevention_type": rng.choice(("", "taker_at_cross")),
        "maker_fees": None if taken else 0,
        "taker_fees": 7 * taken * yes_price * (100 - yes_price) // 10_000,
        "maker_fill_cost": (filled - taken) * yes_price,
        "taker_fill_cost": taken * yes_price,
        "maker_fill_cost_dollars": f"{(filled - taken) * yes_price / 100:.4f}",
        "taker_fill_cost_dollars": f"{taken * yes_price / 100:.4f}",
    }
    if rng.random() < _AMENDED_ORDERS:
        report["amendments"] = _amendments(rng, moment, yes_price)
    return _row(report, ORDER_COLUMNS)


def _amendments(rng: Random, moment: datetime, yes_price: int) -> list[Report]:
    """Up to a few kilobytes: such a row does not fit on one page of the file."""
    return [
        {
            "amended_time": clock.exchange(moment + timedelta(seconds=step)),
            "yes_price": max(1, yes_price - step),
            "client_order_id": _unique(rng),
            "reason": "moved to stay at the best bid",
        }
        for step in range(1, rng.randint(4, 24))
    ]


def new_settlement(rng: Random, moment: datetime, price: float) -> Row:
    """What one market paid at an aware `moment`; money in dollars."""
    yes_count, no_count = rng.choice(((rng.randint(1, 100), 0), (0, rng.randint(1, 100))))
    result = rng.choice(("yes", "no"))
    contract = choose_contract(rng, moment - timedelta(hours=1), price)
    return _row(
        {
            "ticker": contract.ticker,
            "event_ticker": contract.ticker.rsplit("-", 1)[0],
            "title": f"Bitcoin price on {contract.expiry:%b %d, %Y} at {contract.label[4:]}?",
            "yes_sub_title": f"{contract.strike_text} or above",
            "market_result": result,
            "yes_count": yes_count,
            "yes_total_cost": round(yes_count * rng.uniform(0.03, 0.97), 2),
            "no_count": no_count,
            "no_total_cost": round(no_count * rng.uniform(0.03, 0.97), 2),
            "revenue": float(yes_count if result == "yes" else no_count),
            "settled_time": moment,
            "value": 100 if result == "yes" else 0,
            "fee_cost": f"{rng.uniform(0.0, 1.75):.4f}",
        },
        SETTLEMENT_COLUMNS,
    )


def corrected_settlement(rng: Random, row: Row) -> Row:
    """The same settlement with another revenue, as the exchange sends it after a correction."""
    fields = dict(zip(SETTLEMENT_COLUMNS, row, strict=True))
    fields["revenue"] = round(fields["revenue"] + rng.choice((-0.01, 0.01)), 2)
    report = json.loads(fields["raw_json"])
    fields["raw_json"] = json.dumps({**report, "revenue": fields["revenue"], "corrected": True})
    return tuple(fields.values())


def new_position(rng: Random, moment: datetime, ticker: str) -> Row:
    """How many contracts of one market the account holds; exposure in cents, money in dollars."""
    position = rng.randint(-100, 100)
    exposure = abs(position) * rng.randint(3, 97)
    return _row(
        {
            "ticker": ticker,
            "total_traded": rng.randint(abs(position), 500) * 100,
            "position": position,
            "market_exposure": exposure,
            "market_exposure_dollars": f"{exposure / 100:.4f}",
            "realized_pnl": round(rng.gauss(0.0, 20.0), 2),
            "fees_paid": round(rng.uniform(0.0, 5.0), 2),
            "last_updated_ts": moment,
            "resting_orders_count": rng.randint(0, 3),
        },
        POSITION_COLUMNS,
    )
