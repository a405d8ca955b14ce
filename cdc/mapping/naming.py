"""How the tables of a source, and their columns, are called in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cdc.constraints import folded

Fold = Literal["keep", "lower"]
"""What becomes of the case of a name; "lower" is about ASCII letters, as in PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What the configuration says of names: the target's schema, what becomes of their case, and
    `chosen`, the names of target tables in that schema that it gives itself, each with the source
    and the folded name of its table.
    """

    schema: str
    fold: Fold = "keep"
    chosen: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def cased(name: str, fold: Fold) -> str:
    """A name of SQLite in the case that it gets.

    >>> cased("TradeLog", "keep"), cased("TradeLog", "lower"), cased("ÉTÉ", "lower")
    ('TradeLog', 'tradelog', 'ÉtÉ')
    """
    return folded(name) if fold == "lower" else name
