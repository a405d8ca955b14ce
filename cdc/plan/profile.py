"""What a column really holds, counted value by value, in memory that does not grow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, TypeVar

from cdc.plan.forms import BOOLEAN_WORDS, number_forms, text_forms
from cdc.schema import UndecodableText, Value

MOST_FEW: Final = 12
"""With more different values than these, a column's values are not listed."""

LONGEST_BOUND: Final = 40
"""Characters that are kept of the least and of the greatest text."""

_LONGEST_FEW: Final = 40
"""Characters; a longer text is no word out of a short list."""

T = TypeVar("T")
Ordered = TypeVar("Ordered", int, float, str)

Kinds = Counter[type]
"""How many values of each Python type there are: of each storage class."""


@dataclass(slots=True)
class ColumnProfile:
    """The values of one column. Counts are exact, of all rows that were looked at.

    `undecodable` texts are not valid in the file's encoding; the other figures of texts leave them
    out. Lengths are in characters, or in bytes where the name says so. `decimals` and `whole`
    count the digits behind and before the point of the shortest decimal that gives each real;
    `least` and `greatest` span integers, finite reals and texts apart, the last in the order of
    their code points and cut. `forms` counts what texts and
    numbers look like. `few` counts each value, None where there are too many different ones.
    """

    nulls: int = 0
    integers: int = 0
    reals: int = 0
    texts: int = 0
    undecodable: int = 0
    blobs: int = 0
    empty_texts: int = 0
    zero_bytes: int = 0
    longest_text: int = 0
    least_text: str | None = None
    greatest_text: str | None = None
    longest_text_bytes: int = 0
    longest_blob_bytes: int = 0
    least_integer: int | None = None
    greatest_integer: int | None = None
    least_real: float | None = None
    greatest_real: float | None = None
    infinities: int = 0
    negative_zeros: int = 0
    integral_reals: int = 0
    whole: int = 0
    decimals: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    few: Counter[int | str] | None = field(default_factory=Counter)

    @property
    def present(self) -> int:
        """How many values are not NULL."""
        return self.integers + self.reals + self.texts + self.undecodable + self.blobs

    @property
    def boolean(self) -> bool:
        """Whether every value is 0 or 1, or every value is a word for true or false."""
        if not self.few:
            return False
        numbers = {value for value in self.few if isinstance(value, int)}
        words = {value.lower() for value in self.few if isinstance(value, str)}
        return (not words and numbers <= {0, 1}) or (not numbers and words <= BOOLEAN_WORDS)

    @property
    def form(self) -> str | None:
        """What all values look like, where they agree."""
        return next((form for form, count in self.forms.items() if count == self.present), None)

    def add(self, values: Sequence[Value]) -> Kinds:
        """Take more values of the column into account; returns how many there are of each type."""
        kinds: Kinds = Counter(map(type, values))
        self.nulls += kinds[type(None)]
        if integers := _of_type(int, values, kinds):
            self._add_integers(integers)
        if reals := _of_type(float, values, kinds):
            self._add_reals(reals)
        if texts := _of_type(str, values, kinds):
            self._add_texts(texts)
        if blobs := _of_type(bytes, values, kinds):
            self.blobs += len(blobs)
            self.longest_blob_bytes = max(self.longest_blob_bytes, *map(len, blobs))
        self.undecodable += kinds[UndecodableText]
        if reals or blobs or kinds[UndecodableText]:
            self.few = None
        return kinds

    def _add_integers(self, integers: list[int]) -> None:
        self.integers += len(integers)
        self.least_integer = _least(self.least_integer, min(integers))
        self.greatest_integer = _greatest(self.greatest_integer, max(integers))
        self.forms.update(number_forms(integers))
        self._note_few(integers)

    def _add_reals(self, reals: list[float]) -> None:
        self.reals += len(reals)
        finite = [real for real in reals if abs(real) != inf]
        self.infinities += len(reals) - len(finite)
        if not finite:
            return
        least, greatest = min(finite), max(finite)
        self.least_real = _least(self.least_real, least)
        self.greatest_real = _greatest(self.greatest_real, greatest)
        self.integral_reals += sum(map(float.is_integer, finite))
        if least <= 0.0 <= greatest:
            self.negative_zeros += list(map(repr, finite)).count("-0.0")
        farthest = int(max(-least, greatest))
        self.whole = max(self.whole, len(str(farthest)) if farthest else 0)
        self.decimals = max(self.decimals, _most_decimals(finite))
        self.forms.update(number_forms(finite))

    def _add_texts(self, texts: list[str]) -> None:
        self.texts += len(texts)
        joined = "".join(texts)
        self.empty_texts += texts.count("")
        longest = max(map(len, texts))
        self.longest_text = max(self.longest_text, longest)
        if not joined.isascii():
            longest = max(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        self.longest_text_bytes = max(self.longest_text_bytes, longest)
        if "\0" in joined:
            self.zero_bytes += sum("\0" in text for text in texts)
        self.least_text = _least(self.least_text, min(texts)[:LONGEST_BOUND])
        self.greatest_text = _greatest(self.greatest_text, max(texts)[:LONGEST_BOUND])
        self.forms.update(text_forms(texts))
        self._note_few(texts)

    def _note_few(self, values: list[int] | list[str]) -> None:
        if self.few is None:
            return
        self.few.update(values)
        if len(self.few) > MOST_FEW or any(
            isinstance(value, str) and len(value) > _LONGEST_FEW for value in self.few
        ):
            self.few = None


def _of_type(wanted: type[T], values: Sequence[Value], kinds: Kinds) -> list[T]:
    if not kinds[wanted]:
        return []
    if kinds[wanted] == len(values):
        return list(values)  # type: ignore[arg-type]
    return [value for value in values if type(value) is wanted]


def _least(known: Ordered | None, new: Ordered) -> Ordered:
    return new if known is None else min(known, new)


def _greatest(known: Ordered | None, new: Ordered) -> Ordered:
    return new if known is None else max(known, new)


def _most_decimals(reals: list[float]) -> int:
    """Digits behind the point, as many as the longest shortest decimal has.

    >>> _most_decimals([7.0, 0.125, 1e22]), _most_decimals([2.5e-07]), _most_decimals([1.25e-05])
    (3, 8, 7)
    """
    most = 0
    for text in map(repr, reals):
        digits = len(text) - text.find(".") - 1 if "." in text else 0
        if digits > most or "e" in text:
            most = max(most, _decimals(text))
    return most


def _decimals(text: str) -> int:
    mantissa, _, exponent = text.partition("e")
    behind = mantissa.partition(".")[2].rstrip("0")
    return max(0, len(behind) - int(exponent or 0))
