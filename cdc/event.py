"""One change of one row, as the changelog holds it and everything downstream reads it.

An event is a plain tuple, the changelog's row itself, because hundreds of thousands of them
pass each second: `(seq, at, op, layout, origin, v0, v1, …)`.

- `seq`: int, the commit order within one log, without holes that fill in later.
- `at`: float, the Julian day (UTC) on the writer's clock.
- `op`: str, one of the constants of `Op`.
- `layout`: int, which table this is and which of its columns the values are (`sqlite.layouts`).
- `origin`: int, who made the change: `APPLICATION` or `REVERSE_FLOW`.
- values: the whole row, as it was right after the change, in its native storage classes. A
  delete carries its key alone, at the key's positions; the rest is None.
"""

from hashlib import blake2b
from typing import Any, Final

Event = tuple[Any, ...]

SEQ: Final = 0
AT: Final = 1
OP: Final = 2
LAYOUT: Final = 3
ORIGIN: Final = 4
VALUES: Final = 5

APPLICATION: Final = 0
REVERSE_FLOW: Final = 1


class Op:
    """What happened. The last three all mean that the key has no row any more."""

    INSERT: Final = "i"
    UPDATE: Final = "u"
    DELETE: Final = "d"
    EVICT: Final = "r"  # removed by the REPLACE of another row
    REKEY: Final = "k"  # the row lives on under another key

    GONE: Final = frozenset((DELETE, EVICT, REKEY))


JULIAN_DAY_OF_UNIX_EPOCH: Final = 2440587.5


def unix_seconds(julian_day: float) -> float:
    """The Unix time of an event's `at`, in seconds; exact to about 50 microseconds."""
    return (julian_day - JULIAN_DAY_OF_UNIX_EPOCH) * 86400.0


LARGE: Final = 1 << 20
"""The length from which on a value goes into an event's digest as a digest of its own: written out
like the others it would take several times its size.
"""


def digest(event: Event) -> bytes:
    """16 bytes that tell this event from any other; unaffected by columns the log gains later."""
    end = len(event)
    while event[end - 1] is None:
        end -= 1
    written = repr(tuple(map(_brief, event[:end])))
    return blake2b(written.encode(), digest_size=16).digest()


def _brief(value: Any) -> Any:
    """The value, or what no value is: a tuple that stands for a large one.

    >>> _brief("short"), _brief(b"x" * LARGE)[:2]
    ('short', ('bytes', 1048576))
    """
    if not isinstance(value, str | bytes) or len(value) < LARGE:
        return value
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return type(value).__name__, len(value), blake2b(raw, digest_size=16).digest()
