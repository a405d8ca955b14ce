"""The hourly Bitcoin contracts that are traded, and what they are worth."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from cdc.demo.clock import new_york

OPENING_PRICE: Final = 117_750.0
"""Dollars for one Bitcoin, where the history begins and what the price tends back to."""

STRIKE_STEP: Final = 250
_DOLLARS_PER_ROOT_SECOND: Final = 6.0
_REVERSION_PER_SECOND: Final = 1e-5
_MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)


@dataclass(frozen=True, slots=True)
class Contract:
    """Pays a dollar where Bitcoin is above `strike` dollars at `expiry`, New York time."""

    strike: int
    expiry: datetime

    @property
    def ticker(self) -> str:
        """The exchange's name for it.

        >>> Contract(117_750, datetime(2025, 7, 31, 17)).ticker
        'KXBTCD-25JUL3117-T117749.99'
        """
        day = self.expiry
        return f"KXBTCD-{day:%y}{_MONTHS[day.month - 1]}{day:%d%H}-T{self.strike - 0.01:.2f}"

    @property
    def strike_text(self) -> str:
        """The strike as the trades table holds it.

        >>> Contract(117_750, datetime(2025, 7, 31, 17)).strike_text
        '$117,750'
        """
        return f"${self.strike:,}"

    @property
    def label(self) -> str:
        """The contract as people call it.

        >>> Contract(117_750, datetime(2025, 7, 31, 17)).label
        'BTC 5pm'
        """
        hour = self.expiry.hour
        return f"BTC {hour % 12 or 12}{'pm' if hour >= 12 else 'am'}"


def choose_contract(rng: Random, moment: datetime, price: float) -> Contract:
    """A contract near the money that ends at the next full hour after an aware `moment`."""
    here = new_york(moment)
    expiry = here.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    nearest = round(price / STRIKE_STEP)
    return Contract(STRIKE_STEP * (nearest + rng.randint(-6, 6)), expiry)


def next_price(rng: Random, price: float, *, seconds: float = 1.0) -> float:
    """The price some time later, in dollars and cents: a random walk that does not run away."""
    pull = min(1.0, _REVERSION_PER_SECOND * seconds) * (OPENING_PRICE - price)
    return round(price + pull + rng.gauss(0.0, _DOLLARS_PER_ROOT_SECOND) * math.sqrt(seconds), 2)


def probability(price: float, strike: float, side: str) -> float:
    """How likely the side ("Y" or "N") is to win, from 0.01 to 0.99 with four digits."""
    above = 1.0 / (1.0 + math.exp((strike - price) / 400.0))
    return round(min(0.99, max(0.01, above if side == "Y" else 1.0 - above)), 4)


def strike_dollars(text: str) -> float:
    """The strike of a trade as a number.

    >>> strike_dollars("$117,750")
    117750.0
    """
    return float(text.replace("$", "").replace(",", ""))


def fees(buy_price: float, count: int) -> float:
    """The exchange's fee in dollars for `count` contracts at a price between 0 and 1."""
    return math.ceil(7 * count * buy_price * (1 - buy_price)) / 100
