"""What a target type is made of: one function for each step of a value's way, and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import copysign
from typing import Any, Final, Literal

from cdc.schema import Value

OnMisfit = Literal["refuse", "quarantine", "null", "truncate", "round"]
"""What becomes of a value that has no faithful form; the last three store something else for it."""

Instead = Literal["", "null", "truncate", "round"]
"""What is stored for a value that has no faithful form; "" refuses it."""

Encoder = Callable[[Value], bytes | None]

Many = Callable[[Sequence[Any]], tuple[list[bytes], Sequence[int]] | None]
"""Makes the binary forms of many values of a column, none of them NULL: with the positions of those
that the long way has to make, or None where it has to make all.
"""


class Unfitting(ValueError):
    """A value has no faithful form in a type; the message completes "it does not fit, because"."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the configuration says of a column beside its type; all but `instead` is exact.

    `timezone` is an IANA name, `epoch` a unit ("s", "ms", "us"); `true` and `false` are words, of
    which the first one is written on the way back. `separator` stands between date and time there.
    """

    timezone: str | None = None
    ambiguous: str = "refuse"
    missing: str = "refuse"
    separator: str = "T"
    epoch: str | None = None
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    instead: Instead = ""


PLAIN: Final = Options()


@dataclass(frozen=True, slots=True)
class Codec:
    """One PostgreSQL type as a home for the values of one kind of column.

    `forward` makes PostgreSQL's value, in the form in which psycopg reads it (json as text), or
    raises Unfitting. `pack` makes the binary form of that. `reverse` makes the value of SQLite that
    `forward` turns into the same again. `quick`, where there is one, is `pack` after `forward`, or
    None where it leaves the value to those; `quick_instead` is the same where misfits are rounded.
    `many` and `many_instead` are those for many values at once, and `as_is` says of many values
    that they can go as those of a native type do, but for what the server would refuse.
    `instead` holds the ways to store another value for one that does not fit, and `options` the
    names of the Options that the type knows.

    `settled`, where there is one, tells of a value that `forward` takes whether only the options
    say which stored value it is.

    `native`: values go to PostgreSQL as they are, through psycopg's own dumpers. `ordered`:
    PostgreSQL orders the values as SQLite does. `key`: values can stand in a primary key.
    """

    sql: str
    wire: str
    forward: Callable[[Value], Any]
    pack: Callable[[Any], bytes]
    reverse: Callable[[Any], Value]
    quick: Callable[[Value], bytes | None] | None = None
    quick_instead: Callable[[Value], bytes | None] | None = None
    many: Many | None = None
    many_instead: Many | None = None
    as_is: Callable[[Sequence[Any]], bool] | None = None
    instead: Mapping[str, Callable[[Value], Any]] = field(default_factory=dict)
    options: frozenset[str] = frozenset()
    settled: Callable[[Value], bool] | None = None
    native: bool = False
    ordered: bool = True
    key: bool = True


def same(one: Value, other: Value) -> bool:
    """Whether two values are one, bit for bit and in the same storage class.

    >>> same(7, 7.0), same(0.0, -0.0), same("a", "a")
    (False, False, True)
    """
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, float) and isinstance(other, float):
        return copysign(1.0, one) == copysign(1.0, other)
    return True


def require_same(value: Value, back: Value) -> None:
    """Raise Unfitting where what comes back is not what went."""
    if not same(value, back):
        raise Unfitting(f"it would come back as {shown(back)}")


def shown(value: Value) -> str:
    """A value in a message, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def only(kind: type, words: str) -> Callable[[Value], Any]:
    """A `forward` that takes the values of one Python type as they are."""

    def forward(value: Value) -> Any:
        if type(value) is not kind:
            raise Unfitting(f"it is no {words}")
        return value

    return forward
