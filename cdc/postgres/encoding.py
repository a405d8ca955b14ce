"""Rows of SQLite made into the values of a target's columns, a column at a time.

Where a value is there again, as dates and words mostly are, its form is looked up and not computed.
Where hardly any is, as with prices, the forms of many are computed at once.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

from cdc.mapping.codec import Encoder
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import TargetType
from cdc.schema import Key, Row

MOST_KEPT: Final = 1 << 14
"""Values of one column that are remembered; then all are forgotten at once."""

MANY_NEW: Final = 1 << 10
"""Values looked up in vain after which that is given up for a type that makes many at once, if it
was in vain for too many: the forms of so many stay in the processor's cache, those of more do not,
and then looking one up takes as long as making it."""

FEW: Final = 1 << 12
LEARN_TIMES: Final = 4
"""Values that differ, among so many times as many in all, that are looked up after all."""

SOME: Final = 1 << 8
"""Values that tell at once whether they are there again."""

LONGEST_KEPT: Final = 64
"""Characters of a text that is remembered."""

TOO_NEW: Final = 0.35
TOO_NEW_ONE_BY_ONE: Final = 0.9
"""The part of the values from which on it takes longer to look them up, in vain, than to compute
all: many at once, or each by itself."""

_LARGE: Final = 2**53

_Encode = Callable[[Sequence[Any]], Iterable[Any]]
"""Encodes the values that one column has in some rows, at least one."""


class Encoding:
    """Encodes rows of one table. Its memory may be used by two threads."""

    def __init__(self, table: MappedTable) -> None:
        self._project = _projection(table)
        self._encoders = _encoders(table.columns)
        self._key_encoders = _encoders(table.key_columns)

    def rows(self, rows: Sequence[Row]) -> Iterable[tuple[Any, ...]]:
        """For each row of SQLite the values of the target's columns, in their order.

        Raises what the encoders raise, now or later: a ValueError for a value that does not fit.
        """
        if self._project is not None:
            rows = list(map(self._project, rows))
        return _encode(rows, self._encoders)

    def keys(self, keys: Sequence[Key]) -> Iterable[tuple[Any, ...]]:
        """The same for keys."""
        return _encode(keys, self._key_encoders)


def _projection(table: MappedTable) -> Any:
    positions = table.positions
    if positions == tuple(range(len(table.source.columns))):
        return None
    if len(positions) == 1:  # itemgetter of one position gives no tuple
        return lambda row: (row[positions[0]],)
    return itemgetter(*positions)


def _encode(
    rows: Sequence[Row], encoders: Sequence[tuple[int, _Encode]]
) -> Iterable[tuple[Any, ...]]:
    if not encoders or not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    for at, encode in encoders:
        columns[at] = encode(columns[at])
    return zip(*columns, strict=True)


def _encoders(columns: Sequence[TargetColumn]) -> list[tuple[int, _Encode]]:
    """The positions of the columns whose values may not go as they are, each with its encoder."""
    return [
        (at, _encoder(column.type, column.type.encode))
        for at, column in enumerate(columns)
        if column.type.encode is not None
    ]


def _encoder(type_: TargetType, encode: Encoder) -> _Encode:
    if type_.as_is is not None:
        return _Checked(type_.as_is, encode)
    # To a dictionary 7 is 7.0, and which of both a column without an affinity may hold. In JSON
    # hardly anything is there twice.
    if type_.affinity == "BLOB" or type_.wire in {"json", "jsonb"}:
        return _Computed(type_, encode)
    return _Remembered(type_, encode)


class _Checked:
    """Lets values go as they are, once it is clear that all of them can."""

    def __init__(self, as_is: Callable[[Sequence[Any]], bool], encode: Encoder) -> None:
        self._as_is = as_is
        self._encode = encode

    def __call__(self, values: Sequence[Any]) -> Iterable[Any]:
        if not self._all_fit(values):
            present = [value for value in values if value is not None]
            if present and not self._all_fit(present):
                for value in present:
                    self._encode(value)  # raises for the first one that does not fit: says why
        return values

    def _all_fit(self, values: Sequence[Any]) -> bool:
        try:
            return self._as_is(values)
        except TypeError:  # NULL, or of another storage class
            return False


class _Computed:
    """Encodes every value."""

    def __init__(self, type_: TargetType, encode: Encoder) -> None:
        self._many = type_.many
        self._encode = encode

    def __call__(self, values: Sequence[Any]) -> Sequence[Any]:
        found = self._at_once(values)
        if found is not None:
            return found
        holes = [at for at, value in enumerate(values) if value is None]
        if not holes:
            return list(map(self._encode, values))
        mostly_there = self._many is not None and 2 * len(holes) < len(values)
        if mostly_there:
            # What is made of many at once is quickest for one and the same number of them.
            filled, some = list(values), next(value for value in values if value is not None)
            for at in holes:
                filled[at] = some
            found = self._at_once(filled)
            if found is not None:
                for at in holes:
                    found[at] = None
                return found
        present = [value for value in values if value is not None]
        if present and not mostly_there:
            found = self._at_once(present)
        following = iter(map(self._encode, present) if found is None else found).__next__
        return [None if value is None else following() for value in values]

    def _at_once(self, values: Sequence[Any]) -> list[bytes | None] | None:
        """All made at once; None where that is not possible, as with NULL among them."""
        made = None if self._many is None else self._many(values)
        if made is None:
            return None
        encoded: list[bytes | None] = made[0]  # type: ignore[assignment]
        for at in made[1]:
            encoded[at] = self._encode(values[at])
        return encoded


class _Remembered:
    """Looks up what a value became before, as long as enough of them are there again."""

    def __init__(self, type_: TargetType, encode: Encoder) -> None:
        self._computed = _Computed(type_, encode)
        fresh = partial(_RealMemory if type_.affinity == "REAL" else _Memory, encode)
        self._memory: _Memory | None = fresh()
        self._later: _Memory | None = fresh() if type_.many else None
        self._seen = self._learnt = 0
        self._made_at_once = type_.many is not None
        self._patience = MANY_NEW if type_.many else MOST_KEPT
        self._too_new = TOO_NEW if type_.many else TOO_NEW_ONE_BY_ONE

    def __call__(self, values: Sequence[Any]) -> Iterable[Any]:
        memory = self._memory
        if memory is None or self._is_in_vain(memory, values):
            self._memory = None
            found = self._computed(values)
            if self._later is not None:
                self._learn(self._later, values, found)
            return found
        self._seen += len(values)
        return map(memory.__getitem__, values)

    def _is_in_vain(self, memory: "_Memory", values: Sequence[Any]) -> bool:
        """Whether too many values were new, or are so among the first ones."""
        if not self._seen and self._made_at_once and len(values) >= SOME:
            return len(set(values)) > len(values) * self._too_new
        if memory.missed <= self._patience:
            return False
        in_vain = memory.missed > self._seen * self._too_new
        self._seen = memory.missed = 0
        return in_vain

    def _learn(self, later: "_Memory", values: Sequence[Any], found: Iterable[Any]) -> None:
        """Note what values became that were made at once, until it is clear whether they are few,
        as prices of little spread are: then they are looked up from now on.
        """
        later.update(zip(values, found, strict=True))
        later.pop(0.0, None)  # or -0.0
        self._learnt += len(values)
        if len(later) > FEW:
            self._later = None
        elif self._learnt >= FEW * LEARN_TIMES:
            self._memory, self._later, self._seen = later, None, 1


class _Memory(dict[Any, Any]):
    """What each value became; `missed` counts those that were looked for in vain."""

    def __init__(self, encode: Encoder) -> None:
        super().__init__({None: None})
        self.missed = 0
        self._encode = encode

    def __missing__(self, value: Any) -> Any:
        self.missed += 1
        encoded = self._encode(value)
        if _is_itself(value):
            if len(self) > MOST_KEPT:
                self.clear()
                self[None] = None
            self[value] = encoded
        return encoded


class _RealMemory(_Memory):
    """The same for a column that holds reals and no integers, quicker."""

    def __missing__(self, value: Any) -> Any:
        self.missed += 1
        encoded = self._encode(value)
        if value and type(value) is float:
            if len(self) > MOST_KEPT:
                self.clear()
                self[None] = None
            self[value] = encoded
        return encoded


def _is_itself(value: Any) -> bool:
    """Whether no other value that the column may hold is the same key of a dictionary.

    0.0 and -0.0 are, a blob and a text that is not UTF-8, and of very large numbers integers and
    reals. Long texts would take too much memory.
    """
    if isinstance(value, str):
        return len(value) <= LONGEST_KEPT
    return isinstance(value, int | float) and value != 0 and abs(value) < _LARGE
