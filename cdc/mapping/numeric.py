"""PostgreSQL's binary form of a numeric: digits of base 10,000."""

from decimal import Decimal
from struct import Struct
from typing import Final

MOST_BEFORE: Final = 131_072
MOST_BEHIND: Final = 16_383
"""Decimal digits that a numeric has at most before and behind the point."""

_NEGATIVE: Final = 0x4000
_SMALL: Final = 10**8
_TO_GROUP: Final = (10_000, 1_000, 100, 10, 1)
_FORMS: Final = [Struct(f">hhHH{n}H") for n in range(8)]  # the usual lengths

_NONE, _ONE, _TWO, _THREE = (form.pack for form in _FORMS[:4])


def pack_scaled(number: int, scale: int) -> bytes:
    """The numeric `number` / 10**`scale`, with so many digits behind the point.

    >>> pack_scaled(1177525, 2).hex(" ", 2)
    '0003 0001 0000 0002 0001 06ef 09c4'
    """
    if scale <= 4 and -_SMALL < number < _SMALL:
        return _pack_small(number, scale)
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


def _pack_small(number: int, scale: int) -> bytes:
    """The same, quicker, for what has one group behind the point and at most two before it."""
    sign = 0
    if number < 0:
        number, sign = -number, _NEGATIVE
    whole, behind = divmod(number * _TO_GROUP[scale], 10_000)
    first, second = divmod(whole, 10_000)
    if first:
        if behind:
            return _THREE(3, 1, sign, scale, first, second, behind)
        if second:
            return _TWO(2, 1, sign, scale, first, second)
        return _ONE(1, 1, sign, scale, first)
    if second:
        if behind:
            return _TWO(2, 0, sign, scale, second, behind)
        return _ONE(1, 0, sign, scale, second)
    return _ONE(1, -1, sign, scale, behind) if behind else _NONE(0, 0, 0, scale)


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
