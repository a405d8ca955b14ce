"""INSERT statements in the dialect of each database, with what becomes of rows that are there.

SQLite's services say `INSERT OR REPLACE`, under which a row takes a new id; on PostgreSQL the row
that is there is written over, and keeps its id.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Final


class Conflict(enum.StrEnum):
    """What an INSERT does where a row with the same unique values is there."""

    FAIL = ""
    IGNORE = "OR IGNORE"
    REPLACE = "OR REPLACE"


UNIQUE: Final[Mapping[str, tuple[str, ...]]] = {
    "positions": ("ticker",),
    "fills": ("trade_id",),
    "orders": ("order_id",),
    "settlements": ("ticker", "settled_time"),
    "price_log": ("timestamp",),
}
"""By which columns the services know a row again: PostgreSQL has to be told."""


def sqlite(table: str, columns: Sequence[str], conflict: Conflict = Conflict.FAIL) -> str:
    """An INSERT of SQLite, with a question mark a column.

    >>> sqlite("price_log", ("timestamp", "price"), Conflict.REPLACE)
    'INSERT OR REPLACE INTO price_log (timestamp, price) VALUES (?, ?)'
    """
    verb = f"INSERT {conflict}".strip()
    places = ", ".join("?" * len(columns))
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({places})"


def postgresql(table: str, columns: Sequence[str], conflict: Conflict = Conflict.FAIL) -> str:
    """The same for PostgreSQL, still with question marks.

    >>> postgresql("price_log", ("timestamp", "price"), Conflict.REPLACE)[-60:]
    'ON CONFLICT (timestamp) DO UPDATE SET price = excluded.price'
    """
    plain = sqlite(table, columns)
    if conflict is Conflict.FAIL:
        return plain
    unique = ", ".join(UNIQUE.get(table, ()))
    if conflict is Conflict.IGNORE:
        return f"{plain} ON CONFLICT ({unique}) DO NOTHING"
    others = [name for name in columns if name not in UNIQUE[table]]
    taken = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"{plain} ON CONFLICT ({unique}) DO UPDATE SET {taken}"
