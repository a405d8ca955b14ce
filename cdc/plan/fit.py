"""Which values of a column its target cannot take, and which type could take them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeVar

from cdc.mapping.defaults import candidates
from cdc.mapping.table import NO_KEY, TargetColumn
from cdc.mapping.types import BIGINT, BYTEA, DOUBLE, LITERAL, TEXT, TargetType
from cdc.plan.profile import ColumnProfile, Kinds
from cdc.plan.variants import Variant, variants
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


@dataclass(frozen=True, slots=True)
class Change:
    """A value for which something else is stored, with the key of its row.

    `stored` is in the form in which psycopg reads it, None for NULL.
    """

    key: Key
    value: Value
    stored: Any


T = TypeVar("T")


@dataclass(slots=True)
class Tally(Generic[T]):
    """How many values of a column something is true of, with the first few of them."""

    count: int = 0
    examples: list[T] = field(default_factory=list)

    def note(self, example: Callable[[], T]) -> None:
        """Count a value, and keep it where it is one of the first."""
        self.count += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(example())


@dataclass(slots=True)
class Findings:
    """What the values of a column came to under its target type.

    `altered` are those for which `on_misfit` stores another one, `settled` the local times that the
    clocks show twice or never, of which the configuration says which instant they are.
    """

    misfits: Tally[Example] = field(default_factory=Tally)
    altered: Tally[Change] = field(default_factory=Tally)
    settled: Tally[Change] = field(default_factory=Tally)


class ColumnFit:
    """Tries all values of a column on its target type, and on those that could be chosen instead.

    A NULL fits everywhere but in a key.
    """

    def __init__(self, column: Column, target: TargetColumn, key: Sequence[int]) -> None:
        self.found = Findings()
        self._type = target.type
        self._position = target.source
        self._key = key
        self._variants = variants(target, in_key=target.source in key)
        self._alternatives = [type_ for type_ in candidates(column) if type_.name != LITERAL.name]

    @property
    def alternative(self) -> TargetType:
        """The first type to try that took every value."""
        return next(iter(self._alternatives), LITERAL)

    def nearest(self, profile: ColumnProfile) -> list[Variant]:
        """Other options under which the type would take every value."""
        return [each for each in self._variants if each.takes_all and each.suits(profile)]

    def add(
        self, values: Sequence[Value], kinds: Kinds, rows: Sequence[Row], *, zero: bool
    ) -> None:
        """Try more values: the column's of `rows`. `zero` says that a text may hold a zero byte."""
        nulls = kinds[type(None)]
        present = [value for value in values if value is not None] if nulls else values
        self._alternatives = [
            type_ for type_ in self._alternatives if _fits(type_, kinds, present, zero=zero)
        ]
        fits = _fits(self._type, kinds, present, zero=zero)
        for variant in self._variants:
            variant.try_on(present, fits=fits)
        no_null = nulls if self._position in self._key else 0
        if no_null or not fits:
            self._note_misfits(rows, fits=fits, no_null=bool(no_null))
        if self._type.options.instead:
            self._note_changes(self.found.altered, self._type.alters, rows, fits=fits)
        if self._type.settles:
            self._note_changes(self.found.settled, self._type.is_settled, rows, fits=fits)

    def _note_misfits(self, rows: Sequence[Row], *, fits: bool, no_null: bool) -> None:
        for row in rows:
            value = row[self._position]
            if value is None:
                reason = NO_KEY if no_null else None
            else:
                reason = None if fits else self._type.refusal(value)
            if reason is not None:
                self.found.misfits.note(partial(Example, self._key_of(row), value, reason))

    def _note_changes(
        self,
        tally: Tally[Change],
        changes: Callable[[Value], bool],
        rows: Sequence[Row],
        *,
        fits: bool,
    ) -> None:
        for row in rows:
            value = row[self._position]
            if value is None or not (fits or self._type.accepts(value)):
                continue
            if changes(value):
                tally.note(partial(self._change, row, value))

    def _change(self, row: Row, value: Value) -> Change:
        return Change(self._key_of(row), value, self._type.stored(value))

    def _key_of(self, row: Row) -> Key:
        return tuple(row[i] for i in self._key)


def _fits(type_: TargetType, kinds: Kinds, present: Sequence[Value], *, zero: bool) -> bool:
    """Whether the type takes all of these values, without a look at each where that can be."""
    goes_as_it_is = type_.encode is None
    if goes_as_it_is and type_.name == TEXT.name and not zero:
        return kinds[str] == len(present)
    if goes_as_it_is and (exact := _EXACT.get(type_.name)) is not None:
        return kinds[exact] == len(present)
    return type_.name == LITERAL.name or type_.accepts_all(present)
