"""Which values of a column its target cannot take, and which type could take them all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.mapping.defaults import candidates
from cdc.mapping.table import NO_KEY, TargetColumn
from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, LITERAL, TEXT, TargetType
from cdc.plan.profile import Kinds
from cdc.schema import Column, Key, Row, Value

MOST_EXAMPLES: Final = 3

_EXACT: Final[dict[str, type]] = {BIGINT.name: int, DOUBLE.name: float, BYTEA.name: bytes}
"""Types that take every value of one storage class, and of no other."""


@dataclass(frozen=True, slots=True)
class Example:
    """A value that does not fit, with the key of its row and the reason."""

    key: Key
    value: Value
    reason: str


@dataclass(slots=True)
class Misfits:
    """How many values of a column do not fit its target, with the first few of them."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def note(self, example: Example) -> None:
        """Count a misfit, and keep it where it is one of the first."""
        self.count += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(example)


class ColumnFit:
    """Tries all values of a column on its target type, and on those that could be chosen instead.

    A NULL fits everywhere but in a key.
    """

    def __init__(self, column: Column, target: TargetColumn, key: Sequence[int]) -> None:
        self.misfits = Misfits()
        self._type = target.type
        self._position = target.source
        self._key = key
        self._alternatives = [type_ for type_ in candidates(column) if type_.name != LITERAL.name]

    @property
    def alternative(self) -> TargetType:
        """The first type to try that took every value."""
        return next(iter(self._alternatives), LITERAL)

    def add(
        self, values: Sequence[Value], kinds: Kinds, rows: Sequence[Row], *, zero: bool
    ) -> None:
        """Try more values: the column's of `rows`. `zero` says that a text may hold a zero byte."""
        nulls = kinds[type(None)]
        present = [value for value in values if value is not None] if nulls else values
        self._alternatives = [
            type_ for type_ in self._alternatives if _fits(type_, kinds, present, zero=zero)
        ]
        place, type_ = self._position, self._type
        fits = _fits(type_, kinds, present, zero=zero)
        no_null = place in self._key and nulls
        if fits and not no_null:
            return
        for row in rows:
            value = row[place]
            if value is None:
                reason = NO_KEY if no_null else None
            else:
                reason = None if fits else type_.refusal(value)
            if reason is not None:
                self.misfits.note(Example(tuple(row[i] for i in self._key), value, reason))


def _fits(type_: TargetType, kinds: Kinds, present: Sequence[Value], *, zero: bool) -> bool:
    """Whether the type takes all of these values, without a look at each where that can be."""
    goes_as_it_is = type_.encode is None
    if goes_as_it_is and type_.name == TEXT.name and not zero:
        return kinds[str] == len(present)
    if goes_as_it_is and (exact := _EXACT.get(type_.name)) is not None:
        return kinds[exact] == len(present)
    return type_.name == LITERAL.name or all(map(type_.accepts, present))
