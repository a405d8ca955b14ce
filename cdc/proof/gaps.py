"""Which stretches of a table's keys are left to prove, given the ranges that are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdc.proof.kept import KeptRange
from cdc.proof.target import Bound
from cdc.schema import Key, Value


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of keys that is not proven: behind `after`, up to `end`; None at the table's."""

    after: Bound | None = None
    end: Bound | None = None


WHOLE = Gap()


def gaps(ranges: Sequence[KeptRange]) -> list[Gap] | None:
    """The gaps between ranges and around them, in the order of keys.

    None where two of them overlap: then they are of no use.
    """
    found: list[Gap] = []
    reached, at_end = None, False
    for each in sorted(ranges, key=_begin):
        if at_end or _order(each.after) < _order(reached):
            return None
        if each.after != reached:
            found.append(Gap(reached, each.after))
        reached, at_end = each.end, each.end is None
    return found if at_end else [*found, Gap(reached, None)]


def _begin(kept: KeptRange) -> tuple[Any, ...]:
    return _order(kept.after)


def _order(bound: Bound | None) -> tuple[Any, ...]:
    """SQLite's order of keys; the table's beginning comes before all of them."""
    return () if bound is None else key_order(bound.key)


def key_order(key: Key) -> tuple[Any, ...]:
    """What puts keys into the order that SQLite's BINARY collation gives them."""
    return tuple(map(_rank, key))


def _rank(value: Value) -> tuple[int, Any]:
    match value:
        case None:
            return 0, 0
        case int() | float():
            return 1, value
        case str():
            return 2, value.encode()
        case bytes():
            return 3, bytes(value)
