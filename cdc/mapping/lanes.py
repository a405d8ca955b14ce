"""Arithmetic on many small numbers at once: each is a lane of one long integer.

Python needs some 30 ns for one operation on one number, whatever its size, and hardly more than one
nanosecond for each word of a long one. So where a whole column takes the same few steps, its values
are put side by side into one integer, far enough apart that no step carries over into the next
lane. Numbers of lanes are never negative.
"""

from array import array
from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Final

NARROW: Final = 8
WIDE: Final = 16
"""Bytes of a lane."""


class Lanes:
    """The constants of so many lanes of `width` bytes; make them with `lanes`, which keeps them."""

    def __init__(self, count: int, width: int) -> None:
        self.count = count
        self.width = width
        self.ones = int.from_bytes((b"\1" + bytes(width - 1)) * count, "little")
        self._all: dict[int, int] = {}

    def all(self, number: int) -> int:
        """The same number in every lane."""
        found = self._all.get(number)
        if found is None:
            found = self._all[number] = number * self.ones
        return found

    def low(self, lanes: int, bits: int) -> int:
        """The lowest bits of each lane."""
        return lanes & self.all((1 << bits) - 1)

    def down(self, lanes: int, bits: int) -> int:
        """Each lane divided by a power of two."""
        return (lanes >> bits) & self.all((1 << (8 * self.width - bits)) - 1)

    def load(self, kind: str, numbers: Iterable[float] | Iterable[int]) -> int:
        """Lanes of the bits of numbers of a `kind` that has eight bytes ("d", "q", "Q").

        Raises struct.error where one of them is of another kind.
        """
        narrow = words(self.count, kind).pack(*numbers)
        if self.width == NARROW:
            return int.from_bytes(narrow, "little")
        wide = bytearray(self.width * self.count)
        for at in range(NARROW):
            wide[at :: self.width] = narrow[at::NARROW]
        return int.from_bytes(wide, "little")

    def spread(self, small: bytes) -> int:
        """Lanes of one byte each."""
        wide = bytearray(self.width * self.count)
        wide[:: self.width] = small
        return int.from_bytes(wide, "little")

    def bytes(self, lanes: int) -> bytes:
        """All lanes, one after another, each with its lowest byte first."""
        return lanes.to_bytes(self.width * self.count, "little")

    def big_endian(self, lanes: int) -> memoryview:
        """The same, each with its highest byte first; for lanes of eight bytes."""
        swapped = array("Q", self.bytes(lanes))
        swapped.byteswap()
        return memoryview(swapped)


@lru_cache(maxsize=32)
def lanes(count: int, width: int) -> Lanes:
    """The constants of so many lanes."""
    return Lanes(count, width)


@lru_cache(maxsize=64)
def words(count: int, kind: str) -> Struct:
    """Takes so many numbers of a kind of struct's, and minds any other value.

    An array takes its numbers one by one, which is several times as slow.
    """
    return Struct(f"<{count}{kind}")


@lru_cache(maxsize=64)
def pieces(size: int, count: int) -> Struct:
    """Takes so many times `size` bytes apart."""
    return Struct(f"{size}s" * count)


def places(byte: bytes, among: bytes) -> list[int]:
    """Where a byte stands that is hardly ever there.

    >>> places(b"x", b"-x--x")
    [1, 4]
    """
    found, at = [], among.find(byte)
    while at >= 0:
        found.append(at)
        at = among.find(byte, at + 1)
    return found


class Division:
    """Divides lanes below `limit` by a constant, by multiplying with its reciprocal.

    With m the least integer above 2**bits / odd, y * m / 2**bits is above y / odd by less than
    1 / odd, and thus has the same whole part, as long as y times what m is too large by is below
    2**bits. `least_width` is how many bytes the lanes must have.
    """

    def __init__(self, divisor: int, limit: int) -> None:
        self._divisor = divisor
        self._shift = (divisor & -divisor).bit_length() - 1
        odd, largest = divisor >> self._shift, (limit - 1) >> self._shift
        bits = 1
        while (-(1 << bits) % odd) * largest >= 1 << bits:
            bits += 1
        self._bits = bits
        self._factor = -(-(1 << bits) // odd)
        needed = (largest * self._factor).bit_length()
        self.least_width = NARROW if needed <= 8 * NARROW else WIDE

    def __call__(self, of: Lanes, numbers: int) -> tuple[int, int]:
        """Quotients and remainders."""
        quotients = of.down(of.down(numbers, self._shift) * self._factor, self._bits)
        return quotients, numbers - quotients * self._divisor
