"""Rows that come from the other side, in words that do not know it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cdc.schema import Key, Value


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a key's row has to say. `values`, by their positions in the table's columns, are those
    that the other side knows; None where it has no such row.

    `agrees` tells of a position and a value that may stand there whether they say the same as the
    other side: if so, the value stays as it is, with every digit that it has. `whole` says that an
    earlier row of this key is gone: nothing of it lives on. `name` is the other side's name for it.
    """

    name: str
    key: Key
    values: Mapping[int, Value] | None
    agrees: Callable[[int, Value], bool]
    whole: bool


@dataclass(frozen=True, slots=True)
class IncomingTable:
    """Rows of one table, at most one for each key. `all_there_is`: every other key has no row."""

    table: str
    rows: Sequence[Incoming]
    all_there_is: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that SQLite could not hold as it should be: it has none now. `name` is that of the
    Incoming, `position` that of the value at fault, None where the row as a whole is.
    """

    table: str
    name: str
    position: int | None
    reason: str
