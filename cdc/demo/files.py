"""The seven files of the legacy system, by name, relative to its directory."""

from typing import Final

TRADES: Final = "trades.db"
ACTIVE_TRADES: Final = "active_trades.db"
POSITIONS: Final = "positions.db"
FILLS: Final = "fills.db"
ORDERS: Final = "orders.db"
SETTLEMENTS: Final = "settlements.db"
PRICE_HISTORY: Final = "btc_price_history.db"

FILES: Final = (
    TRADES,
    ACTIVE_TRADES,
    POSITIONS,
    FILLS,
    ORDERS,
    SETTLEMENTS,
    PRICE_HISTORY,
)
