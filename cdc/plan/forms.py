"""What texts and numbers look like: moments, truth values, numbers in words, JSON, UUIDs.

A form is counted only for values that are wholly of it; 2025-02-30 is no date.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final

import orjson

DATE: Final = "date"
TIME: Final = "time"
ZONELESS: Final = "timestamp"
ZONED: Final = "timestamp with zone"
WHOLE: Final = "whole number"
DECIMAL: Final = "decimal number"
WORD: Final = "boolean word"
JSON: Final = "JSON"
UUID: Final = "UUID"
EPOCH_SECONDS: Final = "epoch seconds"
EPOCH_MILLISECONDS: Final = "epoch milliseconds"
EPOCH_MICROSECONDS: Final = "epoch microseconds"
JULIAN_DAY: Final = "Julian day"

MOMENTS: Final = frozenset((DATE, TIME, ZONELESS, ZONED))
"""The forms of texts whose order is that of time, as far as they have one zone."""

BOOLEAN_WORDS: Final = frozenset(("t", "f", "true", "false", "yes", "no", "y", "n", "on", "off"))

_YEAR_1980: Final = 315_532_800
_YEAR_2100: Final = 4_102_444_800
EPOCHS: Final = {
    EPOCH_SECONDS: (_YEAR_1980, _YEAR_2100),
    EPOCH_MILLISECONDS: (_YEAR_1980 * 10**3, _YEAR_2100 * 10**3),
    EPOCH_MICROSECONDS: (_YEAR_1980 * 10**6, _YEAR_2100 * 10**6),
    JULIAN_DAY: (2_444_240, 2_488_070),
}
"""The numbers that are such a moment between 1980 and 2100; the ranges do not overlap."""

_LONGEST_SHAPE: Final = 40
"""Characters; no moment, number or UUID is longer."""

_LONGEST_JSON: Final = 1_000_000
"""Characters; a longer text is not parsed to find out whether it is JSON."""

_DIGITS: Final = str.maketrans("0123456789", "9999999999")
_ZONE: Final = r"(?: Z | [+-]99 (?: :?99 )? )"
_CLOCK: Final = r"99:99 (?: :99 (?: \.9{1,9} )? )?"
_SHAPES: Final = tuple(
    (re.compile(pattern, re.VERBOSE), form)
    for pattern, form in (
        (r"9999-99-99", DATE),
        (_CLOCK, TIME),
        (rf"9999-99-99 [T\ ] {_CLOCK}", ZONELESS),
        (rf"9999-99-99 [T\ ] {_CLOCK} {_ZONE}", ZONED),
        (r"[+-]?9+", WHOLE),
        (r"[+-]? (?: 9+\.9* | \.9+ ) (?: [eE][+-]?9+ )? | [+-]?9+ [eE][+-]?9+", DECIMAL),
    )
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def text_forms(texts: Sequence[str]) -> Counter[str]:
    """How many of the texts have each form.

    >>> sorted(text_forms(["2025-11-02 01:30:00", "2025-02-30", "-7", "7.50", '{"a": 1}']).items())
    [('JSON', 1), ('decimal number', 1), ('timestamp', 1), ('whole number', 1)]
    """
    found: Counter[str] = Counter()
    short = [text for text in texts if len(text) <= _LONGEST_SHAPE]
    shapes = [text.translate(_DIGITS) for text in short]
    to_check = {}
    for shape, count in Counter(shapes).items():
        form = _form_of(shape)
        if form in _CHECKS:
            to_check[shape] = form
        elif form:
            found[form] += count
    if to_check:
        found.update(_checked(short, shapes, to_check))
    found.update({JSON: sum(map(_is_json, texts))})
    return +found


def _checked(texts: list[str], shapes: list[str], forms: dict[str, str]) -> Iterable[str]:
    """The form of each text whose shape alone does not settle it, where it has that form."""
    for text, shape in zip(texts, shapes, strict=True):
        form = forms.get(shape)
        if form is not None and _CHECKS[form](text):
            yield form


@lru_cache(maxsize=4096)
def _form_of(shape: str) -> str | None:
    """The form of texts that have this shape: each digit as a 9, all else as it is."""
    if shape.lower() in BOOLEAN_WORDS:
        return WORD
    if len(shape) == 36 and shape[8] == "-":
        return UUID
    return next((form for pattern, form in _SHAPES if pattern.fullmatch(shape)), None)


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    DATE: _parses(date.fromisoformat),
    TIME: _parses(time.fromisoformat),
    ZONELESS: _parses(datetime.fromisoformat),
    ZONED: _parses(datetime.fromisoformat),
    UUID: lambda text: _UUID.fullmatch(text) is not None,
}
"""Where the shape is not enough: whether the text is what it looks like."""

_is_valid_json: Final = _parses(orjson.loads)


def _is_json(text: str) -> bool:
    # Only objects and arrays: any number and the word true are JSON, too, and say nothing.
    return text[:1] in ("{", "[") and len(text) <= _LONGEST_JSON and _is_valid_json(text)


def number_forms(numbers: Sequence[int] | Sequence[float]) -> Counter[str]:
    """How many of the numbers would be a plausible moment, by unit.

    >>> number_forms([1762065000, 1762065000123, 7])
    Counter({'epoch seconds': 1, 'epoch milliseconds': 1})
    """
    least, greatest = min(numbers), max(numbers)
    found: Counter[str] = Counter()
    for form, (start, end) in EPOCHS.items():
        if start <= least and greatest < end:
            found[form] = len(numbers)
        elif greatest >= start and least < end:
            found[form] = sum(start <= number < end for number in numbers)
    return +found
