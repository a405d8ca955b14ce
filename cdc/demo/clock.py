"""The time as the legacy system writes it: text without a zone, in New York."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EASTERN_STANDARD: Final = timedelta(hours=-5)
_HOUR: Final = timedelta(hours=1)


def new_york(moment: datetime) -> datetime:
    """What the clocks of New York show at an aware `moment`, without a zone.

    The rule of the law is computed, since a machine without the time zone database would not
    run the demo otherwise. It holds from 2007 on.

    >>> new_york(datetime(2025, 7, 31, 21, 0, tzinfo=UTC)).isoformat()
    '2025-07-31T17:00:00'
    >>> new_york(datetime(2025, 11, 2, 6, 0, tzinfo=UTC)).isoformat()
    '2025-11-02T01:00:00'
    """
    standard = moment.astimezone(UTC).replace(tzinfo=None) + _EASTERN_STANDARD
    # Both changes happen at 2 o'clock on the clock of the time that ends; the second one is
    # therefore at 1 o'clock standard time.
    begins = _sunday(standard.year, month=3, nth=2) + 2 * _HOUR
    ends = _sunday(standard.year, month=11, nth=1) + _HOUR
    return standard + _HOUR if begins <= standard < ends else standard


def repeated_hour(before: datetime) -> datetime:
    """When the hour last began that the clocks of New York show twice, going by its first pass.

    >>> start = repeated_hour(datetime(2026, 3, 1, tzinfo=UTC))
    >>> start.isoformat(), second(start), second(start + _HOUR)
    ('2025-11-02T05:00:00+00:00', '2025-11-02T01:00:00', '2025-11-02T01:00:00')
    """
    starts = (
        (_sunday(year, month=11, nth=1) - _EASTERN_STANDARD).replace(tzinfo=UTC)
        for year in (before.year, before.year - 1)
    )
    return next(start for start in starts if start < before)


def _sunday(year: int, *, month: int, nth: int) -> datetime:
    first = datetime(year, month, 1)  # noqa: DTZ001 (naive by purpose: a wall clock)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def second(moment: datetime) -> str:
    """An aware moment as the services write it, cut to the second.

    >>> second(datetime(2025, 1, 31, 21, 0, 7, 999999, tzinfo=UTC))
    '2025-01-31T16:00:07'
    """
    return new_york(moment).isoformat(timespec="seconds")


def microsecond(moment: datetime) -> str:
    """An aware moment as the account sync writes it, with its microseconds."""
    return new_york(moment).isoformat(timespec="microseconds")


def exchange(moment: datetime) -> str:
    """An aware moment as the exchange writes it in its JSON: UTC, with a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_second(moment: datetime) -> str:
    """A moment as SQLite's CURRENT_TIMESTAMP writes it, which is UTC.

    >>> utc_second(datetime(2025, 7, 31, 21, 0, 7, tzinfo=UTC))
    '2025-07-31 21:00:07'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
