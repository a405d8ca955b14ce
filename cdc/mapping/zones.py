"""Local time of a zone, with the hour that repeats in autumn and the one that spring leaves out."""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

from cdc.mapping.codec import Unfitting


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises ValueError, with a sentence."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"{name!r} is no name of a time zone") from None
    except KeyError:
        raise ValueError(
            f"there is no time zone {name!r} on this machine (its package tzdata may be missing)"
        ) from None


class LocalTime:
    """The clock of a zone. `ambiguous` and `missing` say what a time is that is twice or never."""

    def __init__(self, name: str, *, ambiguous: str, missing: str) -> None:
        self._name = name
        self._zone = zone(name)
        self._ambiguous = ambiguous
        self._missing = missing

    def instant(self, local: datetime) -> datetime:
        """The instant, in UTC, at which the clock shows `local`. Raises Unfitting."""
        first = local.replace(tzinfo=self._zone, fold=0)
        second = first.replace(fold=1)
        one, other = first.utcoffset(), second.utcoffset()
        assert one is not None
        assert other is not None
        if one > other:
            if self._ambiguous == "refuse":
                raise Unfitting(f"the clock of {self._name} shows this time twice")
            chosen = first if self._ambiguous == "earlier" else second
        elif one < other:
            if self._missing == "refuse":
                raise Unfitting(f"the clock of {self._name} never shows this time")
            # By the offset before the gap, a time inside it is as far behind the gap's end.
            chosen = first if self._missing == "forward" else second
        else:
            chosen = first
        try:
            return chosen.astimezone(UTC)
        except OverflowError:
            raise Unfitting("it is beyond the years 1 to 9999") from None

    def is_changing(self, local: datetime) -> bool:
        """Whether the clock shows `local` twice or never."""
        first = local.replace(tzinfo=self._zone, fold=0)
        return first.utcoffset() != first.replace(fold=1).utcoffset()

    def shows(self, instant: datetime) -> datetime:
        """What the clock shows at an instant; without a zone."""
        return instant.astimezone(self._zone).replace(tzinfo=None, fold=0)
