"""PostgreSQL's binary form of a numeric: digits of base 10,000."""

from decimal import Decimal
from struct import Struct
from typing import Final

MOST_BEFORE: Final = 131_072
MOST_BEHIND: Final = 16_383
"""Decimal digits that a numeric has at most before and behind the point."""

_NEGATIVE: Final = 0x4000
_FORMS: Final = [Struct(f">hhHH{n}H") for n in range(8)]  # the usual lengths


def pack_scaled(number: int, scale: int) -> bytes:
    """The numeric `number` / 10**`scale`, with so many digits behind the point.

    >>> pack_scaled(1177525, 2).hex(" ", 2)
    '0003 0001 0000 0002 0001 06ef 09c4'
    """
    groups = -(-scale // 4)  # behind the point
    rest = abs(number) * 10 ** (4 * groups - scale)
    digits: list[int] = []
    while rest:
        rest, digit = divmod(rest, 10_000)
        if digit or digits:
            digits.append(digit)
        else:
            groups -= 1  # a group of zeros at the end is left out
    digits.reverse()
    weight = len(digits) - groups - 1 if digits else 0
    size = len(digits)
    form = _FORMS[size] if size < len(_FORMS) else Struct(f">hhHH{size}H")
    return form.pack(size, weight, _NEGATIVE if number < 0 else 0, scale, *digits)


def pack_decimal(value: Decimal) -> bytes:
    """The numeric of a finite decimal; it keeps the zeros at the decimal's end."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits))) if len(digits) < 4_000 else _long(digits)
    if exponent > 0:
        number *= 10**exponent
    return pack_scaled(-number if sign else number, max(0, -exponent))


def _long(digits: tuple[int, ...]) -> int:
    """As int(), which refuses more than some thousand digits at once."""
    number = 0
    for at in range(0, len(digits), 1000):
        piece = digits[at : at + 1000]
        number = number * 10 ** len(piece) + int("".join(map(str, piece)))
    return number
