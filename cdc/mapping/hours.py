"""Moments made of texts without a zone, of which thousands share an hour.

So each hour is read once, with all that its zone has to say of it, and the digits behind it are
added as a number.
"""

import re
import struct
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from cdc.mapping.lanes import NARROW, lanes, pieces
from cdc.schema import Value

Start = Callable[[datetime, timedelta], int]
"""The microseconds of a local time from which on, for that long, clocks are not set; it raises
Unfitting where they are. No zone has ever set them twice within a day.
"""

MOST_KEPT: Final = 20_000
"""Hours that are remembered."""

MOST_DAYS: Final = 1_000

_REST: Final = re.compile(r":([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?", re.ASCII)
_PACK: Final = Struct(">q").pack

_HOUR: Final = len("2025-08-01T09")
_SECONDS: Final = len("2025-08-01T09:30:00")
_MICROSECONDS: Final = len("2025-08-01T09:30:00.000000")

_SIGNS: Final = {13: b":", 16: b":", 19: b"."}
_WORTH: Final = {14: 600_000_000, 15: 60_000_000, 17: 10_000_000, 18: 1_000_000} | {
    20 + digit: 10 ** (5 - digit) for digit in range(6)
}
"""The microseconds that a digit counts, by its place in the text."""

_DAY: Final = timedelta(days=1)
_PER_HOUR: Final = 3_600_000_000
_FULL_HOUR: Final = re.compile(rb"\d{4}-\d\d-\d\d[T ](?:[01]\d|2[0-3])")

_BIAS: Final = 1 << 63
"""Is added to microseconds as long as they may have no sign."""


class Hours:
    """Makes the binary forms of moments. `start` says how many microseconds they count from."""

    def __init__(self, start: Start) -> None:
        self._starts = _Starts(start)

    def encode(self, value: Value) -> bytes | None:
        """The binary form; None where the long way has to find out."""
        if type(value) is not str or (rest := _REST.fullmatch(value, _HOUR)) is None:
            return None
        start = self._starts[value[:_HOUR].encode("utf-8", "replace")]
        if start is None:
            return None
        minute, second, fraction = rest.groups("")
        seconds = int(minute) * 60 + int(second)
        return _PACK(start - _BIAS + seconds * 1_000_000 + int(fraction.ljust(6, "0")))

    def encode_many(self, values: Sequence[Any]) -> tuple[list[bytes], Sequence[int]] | None:
        """The binary forms; None where the long way has to make them."""
        try:
            width, *others = set(map(len, values))
            text = "".join(values).encode("ascii")
        except (TypeError, UnicodeEncodeError):  # no texts, or none of moments
            return None
        count = len(values)
        if others or not _has_shape(text, width, count):
            return None
        hours: Any = map(self._starts.__getitem__, _hours(width, count).unpack(text))
        of, digits = lanes(count, NARROW), 0
        try:
            found = of.load("Q", hours)
        except struct.error:  # an hour in which the clock is set, or none at all
            return None
        for place in filter(width.__gt__, _WORTH):
            found += of.spread(text[place::width]) * _WORTH[place]
            digits += ord("0") * _WORTH[place]
        found = found - of.all(digits) ^ of.all(_BIAS)
        return list(pieces(NARROW, count).unpack(of.big_endian(found))), ()


class _Starts(dict[bytes, int | None]):
    """The microseconds of each hour, and `_BIAS`; None where no offset holds for all of it."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self._start = start
        self._midnight = lru_cache(MOST_DAYS)(lambda day: self._asked(day, _DAY))

    def __missing__(self, hour: bytes) -> int | None:
        if len(self) >= MOST_KEPT:
            self.clear()
        self[hour] = found = self._found(hour) if _FULL_HOUR.fullmatch(hour) else None
        return found

    def _found(self, hour: bytes) -> int | None:
        day, number = hour[:10].decode(), int(hour[11:])
        midnight = self._midnight(day)
        if midnight is not None:
            return midnight + number * _PER_HOUR
        return self._asked(f"{day}T{number:02}", timedelta(hours=1))

    def _asked(self, text: str, length: timedelta) -> int | None:
        try:
            return self._start(datetime.fromisoformat(text), length) + _BIAS
        except ValueError:  # no such day, or the clock is set meanwhile
            return None


def _has_shape(text: bytes, width: int, count: int) -> bool:
    """Whether all texts of that width have the same signs and digits behind the hour."""
    if width not in {_SECONDS, _MICROSECONDS}:
        return False
    return all(
        text[place::width] == _SIGNS[place] * count
        if place in _SIGNS
        else not text[place::width].strip(b"012345" if place in {14, 17} else b"0123456789")
        for place in range(_HOUR, width)
    )


@lru_cache(maxsize=8)
def _hours(width: int, count: int) -> Struct:
    """Takes the hours out of so many texts."""
    return Struct(f"{_HOUR}s{width - _HOUR}x" * count)
