"""Points in time as a person writes them on the command line."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from cdc.errors import ConfigError
from cdc.event import unix_seconds
from cdc.mapping.zones import zone

_FORM: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?))?\s*(?P<zone>\S*)"
)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)")
_HINT: Final = (
    'Write it like "2025-07-31 12:00", by the clock of this machine, or with a zone:'
    ' "2025-07-31 12:00 America/New_York", "2025-07-31T16:00:00Z", "2025-07-31 18:00 +02:00".'
)


def parse_instant(text: str) -> datetime:
    """The instant, in UTC, that a text names. Without a zone this machine's clock is meant, without
    a time the beginning of the day. Raises ConfigError.

    >>> parse_instant("2025-07-31 12:00 America/New_York").isoformat()
    '2025-07-31T16:00:00+00:00'
    >>> parse_instant("2025-07-31T12:00:30.5+02:00").isoformat()
    '2025-07-31T10:00:30.500000+00:00'
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no point in time.", hint=_HINT)
    try:
        local = datetime.fromisoformat(f"{match['day']} {match['time'] or '00:00'}")
        return _instant(text, local, match["zone"])
    except (ValueError, OverflowError) as exc:
        raise ConfigError(f"{text!r} is no point in time: {exc}.", hint=_HINT) from None


def _instant(text: str, local: datetime, where: str) -> datetime:
    if where in {"Z", "z"}:
        return local.replace(tzinfo=UTC)
    if offset := _OFFSET.fullmatch(where):
        minutes = int(offset[1] + "1") * (int(offset[2]) * 60 + int(offset[3]))
        return local.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC)
    if where:
        local = local.replace(tzinfo=zone(where))
    # Where the clock is turned, the two readings of a time are two instants; without a zone,
    # astimezone() goes by this machine's.
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first != second:
        often = "shows this time twice" if first < second else "never shows this time"
        raise ConfigError(
            f"{text!r} is no point in time: the clock of {where or 'this machine'} {often}.",
            hint=f'Give the offset, as in "{local:%Y-%m-%d %H:%M} -05:00".',
        )
    return first


def instant_of(at: object) -> datetime | None:
    """The instant, in UTC, of an event's `at`, which is what a writer's clock said.

    >>> instant_of(2460000.5).isoformat()
    '2023-02-25T00:00:00+00:00'
    """
    if not isinstance(at, int | float):
        return None  # an event that somebody else than a trigger wrote
    try:
        return datetime.fromtimestamp(unix_seconds(at), UTC)
    except (ValueError, OverflowError):
        return None
