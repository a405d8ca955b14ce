"""One form for a value of SQLite and for what PostgreSQL holds for it, by which both are compared.

Nothing here is shared with what encodes values: numbers are compared as decimals, moments as
instants, everything else by its bits. Where the configuration says what to store for a value that
does not fit, that is what SQLite's value counts as.
"""

import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from cdc.mapping.table import TargetColumn
from cdc.proof.literals import parse_literal
from cdc.schema import UndecodableText, Value

Canonical = tuple[str, Any]
"""A value in the form that is compared: what it is, and its bits, digits or instant."""

Form = Callable[[Any], Canonical]

NULL: Final[Canonical] = ("null", None)

_DIGITS: Final = Context(prec=150_000)
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}


class ColumnForms:
    """The forms of the values of one column, on either side.

    `of_source` makes what PostgreSQL should hold for a value of SQLite, and `of_target` is for what
    it does hold.
    """

    def __init__(self, column: TargetColumn) -> None:
        self._type = column.type
        self._lossy = bool(column.type.options.instead)
        self._may_be_null = column.type.options.instead == "null"
        self._of_source, self._of_target = _forms(column)
        # A value that is compared as it is has its form from one call, not from four.
        plain = self._of_source is of_sqlite and not self._may_be_null
        self.of_source: Form = of_sqlite if plain else self._of_any_source
        self.of_target: Form = of_sqlite if self._of_target is of_sqlite else self._of_any_target

    @property
    def as_text(self) -> bool:
        """Whether PostgreSQL is to be asked for the text of the value.

        Python has neither infinite moments nor any before the year 1; somebody else may have.
        """
        return self._type.wire in {"json", "jsonb", "date", "time", "timestamp", "timestamptz"}

    def _of_any_source(self, value: Value) -> Canonical:
        if value is None:
            return NULL
        if self._may_be_null and self._type.alters(value):
            return NULL
        try:
            return self._of_source(value)
        except (ValueError, TypeError, ArithmeticError, AttributeError):
            return of_sqlite(value)  # which is like nothing that the column can hold

    def _of_any_target(self, value: Any) -> Canonical:
        if value is None:
            return NULL
        try:
            return self._of_target(value)
        except (ValueError, ArithmeticError):
            return ("foreign", str(value))  # nothing that could come from SQLite

    @property
    def lossy(self) -> bool:
        """Whether the configuration says what to store for values that do not fit."""
        return self._lossy

    def altered(self, value: Value) -> bool:
        """Whether another value stands in PostgreSQL, because the configuration says so."""
        return self._lossy and value is not None and self._type.alters(value)


def of_sqlite(value: Value) -> Canonical:
    """A value of SQLite by its storage class and its bits."""
    return _BY_CLASS[type(value)](value)


_BY_CLASS: Final[dict[type, Form]] = {
    type(None): lambda _: NULL,
    int: lambda value: ("integer", value),
    float: lambda value: ("real", struct.pack(">d", value)),
    str: lambda value: ("text", value.encode()),
    UndecodableText: lambda value: ("text", bytes(value)),
    bytes: lambda value: ("blob", value),
}


def shown(form: Canonical) -> str | None:
    """A value in that form for people; None for NULL.

    >>> [shown(f) for f in (("integer", 7), ("text", b"a"), ("blob", b"a"), NULL)]
    ['7', "'a'", "X'61'", None]
    """
    tag, value = form
    return None if tag == "null" else _SHOWN.get(tag, str)(value)


def _moment_shown(microseconds: int | Decimal) -> str:
    whole = int(microseconds)
    try:
        return (_UNIX + timedelta(microseconds=whole)).isoformat(" ")
    except OverflowError:
        return f"{whole} µs since 1970"


def _forms(column: TargetColumn) -> tuple[Form, Form]:
    base, _, _ = column.type.name.partition("(")
    if column.type.encode is None or base in {"text", "bytea", "json"}:
        return of_sqlite, of_sqlite
    return _BY_TYPE.get(base, _number)(column)


def _literal(_: TargetColumn) -> tuple[Form, Form]:
    return of_sqlite, lambda value: of_sqlite(parse_literal(value))


def _varchar(column: TargetColumn) -> tuple[Form, Form]:
    if column.type.options.instead != "truncate":
        return of_sqlite, of_sqlite
    length = int(_arguments(column))
    return lambda value: of_sqlite(value[:length]), of_sqlite


def _arguments(column: TargetColumn) -> str:
    """What stands in the brackets of the type: "10,4" of numeric(10,4)."""
    return column.type.name.removesuffix(")").partition("(")[2]


def _number(column: TargetColumn) -> tuple[Form, Form]:
    """Numbers as decimals, rounded where the column rounds."""
    arguments = _arguments(column)
    _, _, scale = arguments.partition(",")
    whole = column.type.wire in {"int2", "int4", "int8"}
    places = 0 if whole else int(scale) if arguments else None
    unit = None if places is None else Decimal(1).scaleb(-places)
    rounds = column.type.options.instead == "round" and unit is not None

    def of_source(value: Value) -> Canonical:
        number = _decimal(value)
        if rounds and number.is_finite():
            number = number.quantize(unit or number, ROUND_HALF_UP, context=_DIGITS)
        return _canonical(number)

    return of_source, lambda value: _canonical(_decimal(value))


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bytes):
        raise TypeError("a blob is no number")
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _canonical(number: Decimal) -> Canonical:
    return ("number", number.normalize(_DIGITS) if number else Decimal(0))


def plain_digits(number: Decimal) -> str:
    """A decimal without exponent and needless zeros, as PostgreSQL's trim_scale() shows it.

    >>> [plain_digits(Decimal(n)) for n in ("1.50", "1E+3", "-0.0", "Infinity")]
    ['1.5', '1000', '0', 'Infinity']
    """
    return format(number.normalize(_DIGITS), "f") if number else "0"


def _real(_: TargetColumn) -> tuple[Form, Form]:
    return _single, lambda value: ("real", struct.pack(">d", value))


def _double(_: TargetColumn) -> tuple[Form, Form]:
    return _exact_double, lambda value: ("real", struct.pack(">d", value))


def _exact_double(value: Value) -> Canonical:
    """The double that is the value; where there is none, of_source makes it like nothing."""
    number = value if isinstance(value, float) else float(_decimal(value))
    if not isinstance(value, float) and Decimal(number) != _decimal(value):
        raise ValueError(value)
    return ("real", struct.pack(">d", number))


def _single(value: Value) -> Canonical:
    """The nearest number of single precision; one that is not the value itself was rounded."""
    (nearest,) = struct.unpack(">f", struct.pack(">f", _decimal(value)))
    return ("real", struct.pack(">d", nearest))


def _boolean(column: TargetColumn) -> tuple[Form, Form]:
    options = column.type.options
    truths = {"1": True, "0": False, "1.0": True, "0.0": False}
    truths |= dict.fromkeys(options.true, True) | dict.fromkeys(options.false, False)

    def of_source(value: Value) -> Canonical:
        return ("boolean", truths[str(value)]) if str(value) in truths else of_sqlite(value)

    return of_source, lambda value: ("boolean", value)


def _uuid(_: TargetColumn) -> tuple[Form, Form]:
    return _of_uuid, lambda value: ("uuid", value.hex)


def _of_uuid(value: Any) -> Canonical:
    return ("uuid", value.hex() if isinstance(value, bytes) else value.replace("-", ""))


def _jsonb(_: TargetColumn) -> tuple[Form, Form]:
    return _of_json, _of_json


def _of_json(value: str) -> Canonical:
    """The JSON value; numbers apart from booleans, which Python takes for numbers."""
    tag = Decimal
    return (
        "json",
        json.loads(value, parse_int=lambda n: ("n", tag(n)), parse_float=lambda n: ("n", tag(n))),
    )


def _clock(_: TargetColumn) -> tuple[Form, Form]:
    return _of_clock, lambda value: _of_clock(value if isinstance(value, str) else str(value))


def _of_clock(value: str) -> Canonical:
    """A date or time as text, without zeros at the end of a fraction."""
    return ("clock", value.rstrip("0").rstrip(".") if "." in value else value)


def _moment(column: TargetColumn) -> tuple[Form, Form]:
    options = column.type.options
    zoned = column.type.wire == "timestamptz"

    def of_target(value: datetime | str) -> Canonical:
        if isinstance(value, str):
            return of_target(datetime.fromisoformat(value))
        return _instant(value.astimezone(UTC) if zoned else value.replace(tzinfo=UTC))

    if options.epoch is not None:
        factor = _PER_SECOND[options.epoch]
        rounds = options.instead == "round"

        def counted(value: Value) -> Canonical:
            count = _decimal(value) * factor
            return ("instant", int(count.to_integral_value(ROUND_HALF_UP)) if rounds else count)

        return counted, of_target

    clock = ZoneInfo(options.timezone) if options.timezone else None

    def of_source(value: str) -> Canonical:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None and zoned:
            if clock is None:
                return of_sqlite(value)
            found = _on(clock, found, options.ambiguous, options.missing)
        return _instant(found if zoned else found.replace(tzinfo=UTC))

    return of_source, of_target


def _on(clock: ZoneInfo, local: datetime, ambiguous: str, missing: str) -> datetime:
    before, behind = (local.replace(tzinfo=clock, fold=fold) for fold in (0, 1))
    turned = (before.utcoffset() or timedelta()) - (behind.utcoffset() or timedelta())
    if turned > timedelta():
        return behind if ambiguous == "later" else before
    return behind if turned < timedelta() and missing == "backward" else before


def _instant(value: datetime) -> Canonical:
    return ("instant", (value - _UNIX) // timedelta(microseconds=1))


_BY_TYPE: Final[dict[str, Callable[[TargetColumn], tuple[Form, Form]]]] = {
    "literal": _literal,
    "varchar": _varchar,
    "jsonb": _jsonb,
    "uuid": _uuid,
    "boolean": _boolean,
    "date": _clock,
    "time": _clock,
    "timestamp": _moment,
    "timestamptz": _moment,
    "real": _real,
    "double precision": _double,
}

_SHOWN: Final[dict[str, Callable[[Any], str]]] = {
    "text": lambda raw: "'" + raw.decode(errors="backslashreplace") + "'",
    "blob": lambda raw: f"X'{raw.hex()}'",
    "real": lambda bits: repr(struct.unpack(">d", bits)[0]),
    "number": plain_digits,
    "instant": _moment_shown,
}
