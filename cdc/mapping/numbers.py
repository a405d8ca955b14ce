"""Numbers: numeric, the integers, and the two floating types.

What a number of SQLite is depends on the affinity of its column. Under REAL every number is a real;
under INTEGER and NUMERIC a real without a fraction is an integer already, unless it is very large;
under TEXT a number is a text. So each of them comes back by the column's affinity, and a value is
taken where it comes back as it was.
"""

import re
import struct
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial
from itertools import repeat
from math import copysign, isfinite
from operator import mul, truediv
from struct import Struct
from typing import Any, Final

from cdc.mapping.codec import Codec, Many, Unfitting, only, require_same
from cdc.mapping.lanes import words
from cdc.mapping.numeric import MOST_BEFORE, MOST_BEHIND, pack_decimal, pack_scaled
from cdc.mapping.numerics import MOST_PRECISION, Numerics, rounding
from cdc.schema import Affinity, Value

MOST_DIGITS: Final = 1000
"""Of a numeric that is declared with a precision."""

_WIDE: Final = Context(prec=MOST_BEFORE + MOST_BEHIND)
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_EXACT_TENS: Final = 22
"""10.0**22 is the largest power of ten that a double holds exactly."""

_CLEAR: Final = 0.4998
"""A number that is nearer than this to a whole one is so on the decimal that people see, too: below
10**11 the product with a power of ten is off by less than 0.0001."""

_DOUBLE: Final = Struct(">d")
_SINGLE: Final = Struct(">f")
_INTEGERS: Final = {
    "smallint": ("int2", Struct(">h"), 15, "h"),
    "integer": ("int4", Struct(">i"), 31, "i"),
    "bigint": ("int8", Struct(">q"), 63, "q"),
}

ROUND: Final = "round"


def read_number(value: Value, affinity: Affinity) -> Decimal:
    """The exact number of a value; of a real the shortest decimal that reads back as it.

    Raises Unfitting for what is no number, or would not come back as it is.
    """
    number = _number(value, affinity)
    number = number or number.copy_abs()  # PostgreSQL's numbers have one zero
    require_same(value, write_number(number, affinity))
    return number


def _number(value: Value, affinity: Affinity) -> Decimal:
    match value:
        case int():
            return Decimal(value)
        case float() if isfinite(value):
            return Decimal(repr(value))
        case str() if affinity == "TEXT" and _PLAIN.fullmatch(value):
            return Decimal(value)
        case float():
            raise Unfitting("infinity is no number here")
        case _:
            raise Unfitting("it is no number")


def write_number(number: Decimal, affinity: Affinity) -> Value:
    """The value of SQLite for a number, in a column of this affinity."""
    if affinity == "REAL":
        return float(number)
    if affinity == "TEXT":
        return f"{number:f}"
    if number == number.to_integral_value() and -(2**63) <= number < 2**63:
        return int(number)
    return float(number)


def numeric(affinity: Affinity) -> Codec:
    """numeric without a precision: every finite number."""

    def forward(value: Value) -> Decimal:
        number = _plain(read_number(value, affinity))
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        if len(digits) + exponent > MOST_BEFORE or -exponent > MOST_BEHIND:
            raise Unfitting("it has more digits than any numeric")
        return number

    return Codec("numeric", "numeric", forward, pack_decimal, partial(_back, affinity))


def _plain(number: Decimal) -> Decimal:
    """The same number without a positive exponent, which numeric has no place for."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return number if exponent <= 0 else number.quantize(Decimal(1), context=_WIDE)


def scaled(precision: int, scale: int, affinity: Affinity) -> Codec:
    """numeric(precision, scale): numbers with at most so many digits, and behind the point."""
    unit = Decimal(1).scaleb(-scale)
    limit = Decimal(1).scaleb(precision - scale)
    sql = f"numeric({precision},{scale})"

    def bounded(number: Decimal) -> Decimal:
        if abs(number) >= limit:
            raise Unfitting(f"{sql} has {precision - scale} digits before the point")
        return number

    def forward(value: Value) -> Decimal:
        number = read_number(value, affinity)
        stored = number.quantize(unit, context=_WIDE)
        if stored != number:
            raise Unfitting(f"it has more than {scale} digits behind the point")
        require_same(value, write_number(stored, affinity))
        return bounded(stored)

    def rounded(value: Value) -> Decimal:
        stored = _number(value, affinity).quantize(unit, ROUND_HALF_UP, context=_WIDE)
        # -0.0, or what rounds to it: numeric has one zero.
        return bounded(stored or unit * 0)

    real = affinity == "REAL"
    return Codec(
        sql,
        "numeric",
        forward,
        pack_decimal,
        partial(_back, affinity),
        quick=_quick_scaled(precision, scale) if real else None,
        many=_many_scaled(precision, scale) if real and precision <= MOST_PRECISION else None,
        instead={ROUND: rounded},
        quick_instead=_quick_rounded(precision, scale) if real else None,
        many_instead=rounding(precision, scale) if real else None,
    )


def _quick_rounded(precision: int, scale: int) -> Callable[[Value], bytes | None] | None:
    """For reals that are clearly nearer to one decimal than to any other."""
    if scale > _EXACT_TENS:
        return None
    factor = 10.0**scale
    limit = 10 ** min(precision, 11)

    def quick(value: Value) -> bytes | None:
        if type(value) is float and -1e11 < (exact := value * factor) < 1e11:
            number = round(exact)
            if -limit < number < limit and abs(exact - number) < _CLEAR:
                return pack_scaled(number, scale)
        return None

    return quick


def _quick_scaled(precision: int, scale: int) -> Callable[[Value], bytes | None] | None:
    """For reals that are a decimal of at most 15 digits: there is but one that reads as the real,
    so it is the shortest one, and no text needs to be made of it.
    """
    if scale > _EXACT_TENS:
        return None
    factor = 10.0**scale
    limit = 10 ** min(precision, 15)

    def quick(value: Value) -> bytes | None:
        # 0 is left out, for its sign.
        if type(value) is float and value and -1e15 < value < 1e15:
            number = round(value * factor)
            if number / factor == value and -limit < number < limit:
                return pack_scaled(number, scale)
        return None

    return quick


def _many_scaled(precision: int, scale: int) -> Many | None:
    """`_quick_scaled` of many values."""
    if scale > _EXACT_TENS:
        return None
    factor = 10.0**scale
    limit = 10 ** min(precision, 15)
    numerics = Numerics(precision, scale, limit)

    def many(values: Sequence[Any]) -> tuple[list[bytes], Sequence[int]] | None:
        if not {float}.issuperset(map(type, values)):
            return None
        try:
            numbers = list(map(round, map(mul, values, repeat(factor))))
        except (ValueError, OverflowError):  # infinity
            return None
        if not (-limit < min(numbers) and max(numbers) < limit):
            return None
        back = tuple(map(truediv, numbers, repeat(factor)))
        unclear: Sequence[int] = ()
        if back != tuple(values) or 0.0 in back:
            unclear = [at for at, value in enumerate(values) if not _is_same(value, back[at])]
        return numerics.of_numbers(numbers), unclear

    return many


def _is_same(real: float, other: float) -> bool:
    return real == other and (real != 0 or copysign(1.0, real) == copysign(1.0, other))


def _back(affinity: Affinity, number: Any) -> Value:
    return write_number(Decimal(number), affinity)


def integer(name: str, affinity: Affinity) -> Codec:
    """smallint, integer or bigint."""
    wire, form, bits, code = _INTEGERS[name]
    lowest, highest = -(2**bits), 2**bits - 1
    holds_integers = affinity not in {"TEXT", "REAL"}

    def bounded(number: Decimal) -> int:
        if not lowest <= number <= highest:
            raise Unfitting(f"it is beyond the range of {name}")
        return int(number)

    def forward(value: Value) -> int:
        if holds_integers and type(value) is int and lowest <= value <= highest:
            return value  # what the long way would come to, too
        number = read_number(value, affinity)
        if number != number.to_integral_value():
            raise Unfitting("it has a fraction")
        stored = bounded(number)
        require_same(value, write_number(Decimal(stored), affinity))
        return stored

    def as_is(values: Sequence[Any]) -> bool:
        try:
            words(len(values), code).pack(*values)
        except struct.error:  # beyond the range, or no integer
            return False
        return True

    def rounded(value: Value) -> int:
        return bounded(_number(value, affinity).to_integral_value(ROUND_HALF_UP))

    return Codec(
        name,
        wire,
        forward,
        form.pack,
        partial(_back, affinity),
        as_is=as_is if affinity in {"INTEGER", "NUMERIC"} else None,
        instead={ROUND: rounded},
        native=name == "bigint" and affinity not in {"REAL", "TEXT"},
        ordered=affinity != "TEXT",
    )


def double(affinity: Affinity) -> Codec:
    """double precision: every real, bit for bit, and under other affinities what comes back."""
    if affinity in {"REAL", "BLOB"}:
        forward = only(float, "real")
        return Codec(
            "double precision", "float8", forward, _DOUBLE.pack, lambda value: value, native=True
        )

    def exact(value: Value) -> float:
        if isinstance(value, float) and not isfinite(value) and affinity != "TEXT":
            return value
        stored = float(_number(value, affinity))
        require_same(value, _from_double(stored, affinity))
        return stored

    return Codec(
        "double precision",
        "float8",
        exact,
        _DOUBLE.pack,
        partial(_from_double, affinity=affinity),
        ordered=affinity != "TEXT",
    )


def real(affinity: Affinity) -> Codec:
    """real: the reals of single precision; most doubles are none."""

    def nearest(value: Value) -> float:
        number = value if isinstance(value, float) else float(_number(value, affinity))
        try:
            (stored,) = _SINGLE.unpack(_SINGLE.pack(number))
        except OverflowError:
            raise Unfitting("it is beyond the range of real") from None
        return float(stored)

    def forward(value: Value) -> float:
        stored = nearest(value)
        require_same(value, _from_double(stored, affinity))
        return stored

    return Codec(
        "real",
        "float4",
        forward,
        _SINGLE.pack,
        partial(_from_double, affinity=affinity),
        instead={ROUND: nearest},
        ordered=affinity != "TEXT",
    )


def _from_double(number: float, affinity: Affinity) -> Value:
    if affinity in {"REAL", "BLOB"} or (not isfinite(number) and affinity != "TEXT"):
        return number
    if affinity == "TEXT":
        return repr(number)
    return int(number) if number.is_integer() and -(2.0**63) < number < 2.0**63 else number
