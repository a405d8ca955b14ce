"""What a column holds, in a few words for people."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from cdc.mapping.literals import literal
from cdc.plan.forms import (
    EPOCH_MICROSECONDS,
    EPOCH_MILLISECONDS,
    EPOCH_SECONDS,
    JSON,
    JULIAN_DAY,
    MOMENTS,
    WORD,
)
from cdc.plan.profile import ColumnProfile
from cdc.schema import Value

MOST_VALUES: Final = 5
"""A column with no more different values than these is described by naming them."""

LEAST_ROWS: Final = 10
"""With fewer values than these, that they repeat says nothing."""

_QUOTE: Final = "'"

SHOWN: Final = 40
"""Characters of a value that are shown."""

_UNITS_PER_SECOND: Final = {
    EPOCH_SECONDS: 1,
    EPOCH_MILLISECONDS: 1_000,
    EPOCH_MICROSECONDS: 1_000_000,
}
_JULIAN_EPOCH: Final = 2_440_587.5
"""The Julian day of 1970-01-01 00:00 UTC."""


def seen(profile: ColumnProfile) -> str:
    """What the values of a column are.

    >>> profile = ColumnProfile()
    >>> _ = profile.add([7, 12, None, "n/a"])
    >>> seen(profile)
    '2 integers 7 to 12; 1 text up to 3 characters; 1 NULL'
    """
    if not profile.present:
        return "only NULL" if profile.nulls else "nothing"
    parts = [_few(profile)] if _tells(profile) else list(_classes(profile))
    return "; ".join([*parts, *_oddities(profile)])


def _tells(profile: ColumnProfile) -> bool:
    few = profile.few
    return bool(few) and len(few or ()) <= MOST_VALUES and profile.present >= LEAST_ROWS


def _few(profile: ColumnProfile) -> str:
    assert profile.few is not None
    numbers = sorted(value for value in profile.few if isinstance(value, int))
    words = sorted(value for value in profile.few if isinstance(value, str))
    shown = [*map(str, numbers), *map(shown_value, words)]
    return ("always " if len(shown) == 1 else "") + _listed(shown)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _classes(profile: ColumnProfile) -> Iterator[str]:
    """A phrase for each storage class that occurs; counted where there are several."""
    counts = (
        (profile.integers, "integer", _integers),
        (profile.reals, "real", _reals),
        (profile.texts, "text", _texts),
        (profile.blobs, "blob", _blobs),
    )
    mixed = sum(bool(count) for count, *_ in counts) > 1
    for count, name, phrase in counts:
        if count:
            yield f"{number(count, name)} {phrase(profile)}".strip() if mixed else phrase(profile)


def _integers(profile: ColumnProfile) -> str:
    least, greatest = profile.least_integer, profile.greatest_integer
    assert least is not None
    assert greatest is not None
    moments = _moments(profile, least, greatest)
    if moments:
        return moments
    return f"{least}" if least == greatest else f"{least} to {greatest}"


def _reals(profile: ColumnProfile) -> str:
    least, greatest = profile.least_real, profile.greatest_real
    if least is None or greatest is None:
        return "infinite"
    span = f"{least!r}" if least == greatest else f"{least!r} to {greatest!r}"
    if moments := _moments(profile, least, greatest):
        return moments
    if not profile.decimals:
        return f"{span}, all whole"
    return f"{span}, up to {number(profile.decimals, 'decimal')}"


def _moments(profile: ColumnProfile, least: float, greatest: float) -> str:
    """The span as moments, where every number of the column is a plausible one."""
    form = profile.form
    if form in _UNITS_PER_SECOND:
        units = _UNITS_PER_SECOND[form]
        seconds = (least / units, greatest / units)
    elif form == JULIAN_DAY:
        seconds = ((least - _JULIAN_EPOCH) * 86_400, (greatest - _JULIAN_EPOCH) * 86_400)
    else:
        return ""
    first, last = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=s) for s in seconds)
    return f"like {form}, {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _texts(profile: ColumnProfile) -> str:
    form = profile.form
    length = f"up to {number(profile.longest_text, 'character')}"
    filled = profile.texts - profile.empty_texts
    if not filled:
        return "empty"
    if form in MOMENTS:
        least, greatest = profile.least_text, profile.greatest_text
        return f"{form} {least}" if least == greatest else f"{form}s {least} to {greatest}"
    if form == WORD:
        return "words for true and false"
    if form is None:
        # What only some texts look like tells of a column that was used in two ways.
        common = [
            f"{count:,} like a {form}"
            for form, count in profile.forms.most_common(1)
            if 0 < count < filled and count * 10 > filled and profile.texts == profile.present
        ]
        return ", ".join([length, *common])
    return f"{form}s, {length}" if form != JSON else f"{form}, {length}"


def _blobs(profile: ColumnProfile) -> str:
    return f"up to {number(profile.longest_blob_bytes, 'byte')}"


def _oddities(profile: ColumnProfile) -> Iterator[str]:
    """What is easy to overlook and often matters."""
    for count, what in (
        (profile.nulls, "NULL"),
        (profile.empty_texts if profile.empty_texts < profile.texts else 0, "empty"),
        (profile.undecodable, "not valid UTF-8"),
        (profile.zero_bytes, "with a zero byte"),
        (profile.infinities, "infinite"),
        (profile.negative_zeros, "minus zero"),
    ):
        if count:
            yield f"{count:,} {what}"


def number(count: int, noun: str) -> str:
    """A count with its noun.

    >>> number(1, "row"), number(1200, "row"), number(2, "index")
    ('1 row', '1,200 rows', '2 indexes')
    """
    plural = "es" if noun.endswith("x") else "s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{plural}"


def shown_stored(stored: Any) -> str:
    """What PostgreSQL holds, as psycopg reads it; texts as SQL writes them.

    >>> shown_stored(Decimal("0.1235")), shown_stored(datetime(2025, 11, 2, 5, 30, tzinfo=UTC))
    ('0.1235', '2025-11-02 05:30:00+00:00')
    """
    if stored is None or isinstance(stored, str | bytes | int | float):
        return shown_value(stored)
    return f"{stored:f}" if isinstance(stored, Decimal) else str(stored)


def shown_value(value: Value) -> str:
    """A value as SQL writes it, cut where it is long.

    >>> shown_value("it's"), shown_value(b"ab"), shown_value("x" * 100)[-20:]
    ("'it''s'", "X'6162'", 'xxxxxxxx… (100 long)')
    """
    if isinstance(value, str | bytes) and len(value) > SHOWN:
        # Cut by hand: the literal of a large value is larger still.
        return f"{(literal(value[:SHOWN]) or '').rstrip(_QUOTE)}… ({len(value)} long)"
    return literal(value) or "NULL"
