"""Whole columns of reals made numerics at once, in lanes.

All values of a column get the same groups of base 10,000, zeros at both ends included, which the
server strips.
"""

from collections.abc import Sequence
from itertools import repeat
from operator import add
from struct import Struct
from typing import Any, Final

from cdc.mapping.codec import Many
from cdc.mapping.lanes import NARROW, WIDE, Division, Lanes, lanes, pieces, places

MOST_DIGITS: Final = 11
"""Digits of the numbers that reals are rounded to here: the shortest decimal of a real is nearer to
it than a ten-thousandth of the last digit then."""

MARGIN: Final = 0.0002
"""So near to the middle of two numbers it is not clear which of them is meant."""

MOST_UNCLEAR: Final = 0.1
"""The part of all reals for which it may be so, where what is cut off of a real counts, too."""

MOST_PRECISION: Final = 24
"""Digits of a type whose values have all their groups packed."""

_GROUP: Final = 10_000
_NEGATIVE: Final = 0x40
"""The first byte of a negative numeric's sign."""

_HEADER: Final = Struct(">hhhh")  # groups, weight, sign, scale

# A double: its sign and exponent, and 52 bits, of which the first is the middle.
_MIDDLE: Final = 1 << 51
_LOW: Final = (1 << 52) - 1
_HIGH: Final = (1 << 64) - 1 - _LOW


class Numerics:
    """Makes numerics of a type out of whole numbers below `limit`, each standing for itself /
    10**scale.
    """

    def __init__(self, precision: int, scale: int, limit: int) -> None:
        behind, before = -(-scale // 4), -(-(precision - scale) // 4)
        groups = behind + before
        self.bits = limit.bit_length()
        last = 10 ** (scale % 4 or 4)  # what the last group holds, and what fills it up
        self._fill = _GROUP // last
        self._divisions = []
        for base in (last, *repeat(_GROUP, groups))[: groups - 1]:
            self._divisions.append(Division(base, limit))
            limit = max(1, -(-limit // base))
        self._form = _HEADER.pack(groups, before - 1, 0, scale) + bytes(2 * groups)
        least = [division.least_width for division in self._divisions]
        self.least_width = max(least, default=NARROW) if 2 * groups <= NARROW else WIDE

    def pack(self, of: Lanes, numbers: int, negative: int) -> list[bytes]:
        """The binary forms of numbers, which are negative where those lanes are 1."""
        groups, place, fill = 0, 0, self._fill
        for division in self._divisions:
            numbers, group = division(of, numbers)
            groups |= group * fill << place
            place, fill = place + 16, 1
        groups |= numbers * fill << place
        found, size = of.bytes(groups), len(self._form)
        packed = bytearray(self._form * of.count)
        for at in range(size - _HEADER.size):
            packed[size - 1 - at :: size] = found[at :: of.width]
        if negative:
            packed[4::size] = of.bytes(negative * _NEGATIVE)[:: of.width]
        return list(pieces(size, of.count).unpack(packed))

    def of_numbers(self, numbers: Sequence[int]) -> list[bytes]:
        """The binary forms of at least one number."""
        of, negative = lanes(len(numbers), self.least_width), 0
        if min(numbers) < 0:
            negative = of.load("q", [number < 0 for number in numbers])
            numbers = list(map(abs, numbers))
        return self.pack(of, of.load("q", numbers), negative)


class Rounding:
    """Rounds reals to numerics of a type, as far as it is clear which number is meant.

    1.5 * 2**(52 - bits) plus a real that is not too large has 52 low bits that are 2**51 plus the
    real in units of 2**-bits. That times 10**scale is the number in the same units.
    """

    def __init__(self, precision: int, scale: int) -> None:
        limit = 10 ** min(precision, MOST_DIGITS)
        self._factor = 10**scale
        self._numerics = Numerics(precision, scale, limit)
        self._width = self._numerics.least_width
        self._bits = most = 51 - (limit // self._factor).bit_length()
        if self._width == NARROW:
            self._bits = min(most, 8 * NARROW - limit.bit_length())
            if self.unclear > 2 * MARGIN:
                self._bits, self._width = most, WIDE
        self._margin = int(self.unclear * (1 << self._bits)) + 1
        self._shift = 1.5 * 2.0 ** (52 - self._bits)
        (self._shift_bits,) = Struct("<Q").unpack(Struct("<d").pack(self._shift))
        # One unit behind the largest number, which may have been rounded up to here.
        self._beyond = ((limit - 1) << self._bits) // self._factor + 2

    @property
    def unclear(self) -> float:
        """How near to the middle of two numbers it is not clear which one is meant: what is cut off
        of a real counts, too.
        """
        return float(MARGIN + self._factor / (1 << self._bits))

    def __call__(self, reals: Sequence[Any]) -> tuple[list[bytes], Sequence[int]] | None:
        """The binary forms, and the positions of those for which it is not clear; None where one of
        them is no real, or too large.
        """
        try:
            of = lanes(len(reals), self._width)
            found = of.load("d", map(add, reals, repeat(self._shift)))
        except (TypeError, OverflowError):
            return None
        if found & of.all(_HIGH) != of.all(self._shift_bits & _HIGH):
            return None
        found &= of.all(_LOW)
        negative = of.ones ^ of.down(found & of.all(_MIDDLE), 51)
        found &= of.all(_MIDDLE - 1)
        if negative:
            found = (found ^ negative * (_MIDDLE - 1)) + negative
        if (found + of.all(_MIDDLE - self._beyond)) & of.all(_HIGH | _MIDDLE):
            return None
        bits = self._bits
        found = found * self._factor + of.all(1 << bits - 1)
        numbers = of.down(found, bits)
        if negative:  # there is one zero
            above = self._numerics.bits
            negative &= of.down(numbers + of.all((1 << above) - 1), above)
        return self._numerics.pack(of, numbers, negative), self._unclear_ones(of, found)

    def _unclear_ones(self, of: Lanes, found: int) -> Sequence[int]:
        """Which numbers, half a unit added, are too near to a whole one."""
        bits, margin = self._bits, self._margin
        distance = of.low(found + of.all(margin), bits)
        clear = of.low(of.down(distance + of.all((1 << bits) - 2 * margin), bits), 1)
        if clear == of.ones:
            return ()
        return places(b"\0", of.bytes(clear)[:: of.width])


def rounding(precision: int, scale: int) -> Many | None:
    """What rounds many reals at once, None where it would leave too many to others."""
    if precision > MOST_PRECISION:
        return None
    found = Rounding(precision, scale)
    return found if found.unclear <= MOST_UNCLEAR / 2 else None
