"""Dates, times and instants, from texts in ISO form or from numbers that count since 1970."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, partial
from struct import Struct
from typing import Any, Final

from cdc.mapping.codec import Codec, Options, Unfitting, require_same
from cdc.mapping.hours import MOST_KEPT, Hours
from cdc.mapping.numbers import ROUND, read_number, write_number
from cdc.mapping.zones import LocalTime
from cdc.schema import Affinity, Value

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,6})?", re.ASCII)
_MOMENT: Final = re.compile(
    rf"{_DATE.pattern}[T ]{_TIME.pattern}(?P<zone>Z|[+-]\d\d:\d\d)?", re.ASCII
)

_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001  # PostgreSQL's, without a zone
_EPOCH_UTC: Final = _EPOCH.replace(tzinfo=UTC)
_UNIX_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAYS: Final = Struct(">i")
_MICROSECONDS: Final = Struct(">q")

_UNITS: Final = {"s": 6, "ms": 3, "us": 0}
"""The decimal places between a unit and a microsecond."""

CLOCK_OPTIONS: Final = frozenset(("timezone", "ambiguous", "missing", "separator", "epoch"))


def day() -> Codec:
    """date: texts such as 2025-08-01."""

    def forward(value: Value) -> date:
        if type(value) is not str or not _DATE.fullmatch(value):
            raise Unfitting("it is no date such as 2025-08-01")
        found: date = _parsed(date.fromisoformat, value)
        return found

    first = _EPOCH.toordinal()
    return Codec(
        "date",
        "date",
        forward,
        lambda value: _DAYS.pack(value.toordinal() - first),
        lambda value: str(value.isoformat()),
    )


def time_of_day() -> Codec:
    """time: texts such as 09:30:00 or 09:30:00.25."""

    def forward(value: Value) -> time:
        if type(value) is not str or not _TIME.fullmatch(value):
            raise Unfitting("it is no time such as 09:30:00")
        found: time = _parsed(time.fromisoformat, value)
        return found

    def pack(value: time) -> bytes:
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return _MICROSECONDS.pack(seconds * 1_000_000 + value.microsecond)

    return Codec("time", "time", forward, pack, lambda value: str(value.isoformat()))


def moment(name: str, affinity: Affinity, options: Options) -> Codec:
    """timestamp (what a clock showed) or timestamptz (an instant), from text or from a number."""
    if options.epoch is not None:
        return _counted(name, affinity, options.epoch)
    return _timestamptz(options) if name == "timestamptz" else _timestamp(options)


def _timestamp(options: Options) -> Codec:
    def forward(value: Value) -> datetime:
        found, zoned = _read(value)
        if zoned:
            raise Unfitting("it names a zone, which a timestamp has not")
        return found

    def reverse(value: Any) -> Value:
        return str(value.isoformat(options.separator))

    pack = partial(_pack, _EPOCH)
    quick = Hours(lambda first, _: _microseconds(_EPOCH, first))
    return Codec(
        "timestamp",
        "timestamp",
        forward,
        pack,
        reverse,
        quick=quick.encode,
        many=quick.encode_many,
        options=CLOCK_OPTIONS,
    )


def _timestamptz(options: Options) -> Codec:
    clock = (
        LocalTime(options.timezone, ambiguous=options.ambiguous, missing=options.missing)
        if options.timezone
        else None
    )

    def forward(value: Value) -> datetime:
        found, zoned = _read(value)
        if zoned:
            return _in_utc(found)
        if clock is None:
            raise Unfitting('it names no zone: set "timezone" for the column')
        return clock.instant(found)

    def reverse(value: Any) -> Value:
        if clock is not None:
            shown = clock.shows(value)
            text = shown.isoformat(options.separator)
            # The second pass of the hour that repeats needs its zone to be told from the first.
            if _comes_back(forward, text, value):
                return text
        return str(_in_utc(value).replace(tzinfo=None).isoformat(options.separator)) + "Z"

    quick = None if clock is None else Hours(partial(_steady, clock))
    return Codec(
        "timestamptz",
        "timestamptz",
        forward,
        partial(_pack, _EPOCH_UTC),
        reverse,
        quick=None if quick is None else quick.encode,
        many=None if quick is None else quick.encode_many,
        options=CLOCK_OPTIONS,
        settled=None if clock is None else _settled_by(clock),
        # Where clocks go back, a later instant may have a smaller text.
        ordered=clock is None,
    )


def _settled_by(clock: LocalTime) -> Callable[[Value], bool]:
    """Tells of a text that `forward` takes whether the clock shows it twice or never."""

    @lru_cache(maxsize=MOST_KEPT)
    def is_steady(hour: str) -> bool:
        # Clocks are set at a full hour, by half an hour at least.
        first = datetime.fromisoformat(f"{hour}:00:00")
        last = first + timedelta(hours=1) - _MICROSECOND
        return not (clock.is_changing(first) or clock.is_changing(last))

    def settled(value: Value) -> bool:
        assert isinstance(value, str)
        if is_steady(value[:13]):
            return False
        found, zoned = _read(value)
        return not zoned and clock.is_changing(found)

    return settled


def _counted(name: str, affinity: Affinity, unit: str) -> Codec:
    """From a number of `unit`s since 1970-01-01 00:00 UTC."""
    places = _UNITS[unit]
    zoned = name == "timestamptz"
    epoch = _EPOCH_UTC if zoned else _EPOCH

    def instant(microseconds: Decimal) -> datetime:
        try:
            found = _UNIX_UTC + int(microseconds) * _MICROSECOND
        except OverflowError:
            raise Unfitting("it is beyond the years 1 to 9999") from None
        return found if zoned else found.replace(tzinfo=None)

    def forward(value: Value) -> datetime:
        microseconds = read_number(value, affinity).scaleb(places)
        if microseconds != microseconds.to_integral_value():
            raise Unfitting("it is finer than a microsecond")
        stored = instant(microseconds)
        require_same(value, reverse(stored))
        return stored

    def rounded(value: Value) -> datetime:
        microseconds = read_number(value, affinity).scaleb(places)
        return instant(microseconds.to_integral_value(ROUND_HALF_UP))

    def reverse(value: Any) -> Value:
        aware = value if zoned else value.replace(tzinfo=UTC)
        count = Decimal((aware - _UNIX_UTC) // _MICROSECOND).scaleb(-places)
        whole = count == count.to_integral_value()
        return write_number(Decimal(int(count)) if whole else count.normalize(), affinity)

    return Codec(
        name,
        name,
        forward,
        partial(_pack, epoch),
        reverse,
        instead={ROUND: rounded},
        options=CLOCK_OPTIONS,
        ordered=affinity != "TEXT",
    )


def _read(value: Value) -> tuple[datetime, bool]:
    """The moment that a text names, and whether it names a zone, too."""
    match = _MOMENT.fullmatch(value) if type(value) is str else None
    if match is None:
        raise Unfitting("it is no moment such as 2025-08-01T09:30:00")
    return _parsed(datetime.fromisoformat, match[0]), match["zone"] is not None


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as exc:
        raise Unfitting(str(exc)) from None


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Unfitting("it is beyond the years 1 to 9999") from None


def _comes_back(forward: Callable[[Value], datetime], text: str, wanted: datetime) -> bool:
    try:
        return forward(text) == wanted
    except Unfitting:
        return False


def _microseconds(epoch: datetime, value: datetime) -> int:
    return (value - epoch) // _MICROSECOND


def _pack(epoch: datetime, value: datetime) -> bytes:
    return _MICROSECONDS.pack(_microseconds(epoch, value))


def _steady(clock: LocalTime, first: datetime, length: timedelta) -> int:
    """The instant of a time on the clock, where that has one offset for so long."""
    last = length - _MICROSECOND
    start = clock.instant(first)
    if clock.instant(first + last) - start != last:
        raise Unfitting("the clock is set meanwhile")
    return _microseconds(_EPOCH_UTC, start)
