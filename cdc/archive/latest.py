"""The last event of each key, found in the lines of segments without decoding the others.

To decode a line takes several times as long as to look at its beginning, and a replay needs what
the last event of each key says and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from cdc.archive.rows import Joined, join_lines, load_joined
from cdc.event import LAYOUT, VALUES, Event, Op
from cdc.schema import Table

AT_ONCE: Final = 256
"""Lines that are decoded by one call: if what they become is used at once, it is found in the
processor's cache, which takes half the time."""

_OPS: Final = frozenset(
    f'"{op}"'.encode() for op in (Op.INSERT, Op.UPDATE, Op.DELETE, Op.EVICT, Op.REKEY)
)
_QUOTE: Final = ord('"')
_BRACE: Final = ord("{")
_NULL: Final = b"null"
_NO_VALUES: Final = (None,) * 2000


class Latest:
    """Gathers lines of events of some tables, given by layout, in the order of the log.

    Keys are told apart by their text. So two forms of one key to SQLite, such as 1 and 1.0, are
    both kept, and so is every event whose key is not at the beginning of its line, or is NULL, as
    that of many rows may be, or cannot be told from its text: what is left out is certain to be of
    no account.
    """

    def __init__(self, tables: Mapping[int, Table]) -> None:
        self._found: dict[bytes, dict[object, bytes]] = {}
        self._keys: dict[bytes, int] = {}
        for layout, table in tables.items():
            leading = table.key == tuple(range(len(table.key)))
            name = str(layout).encode()
            self._found[name] = {}
            self._keys[name] = len(table.key) if leading else 0
        self._split = VALUES + max(self._keys.values(), default=0)
        self._odd: list[bytes] = []
        self._apart = True

    @property
    def count(self) -> int:
        """How many events are kept."""
        return len(self._odd) + sum(map(len, self._found.values()))

    @property
    def apart(self) -> bool:
        """Whether each event that is kept is certainly of another key."""
        return self._apart and not self._odd

    def add(self, lines: Sequence[bytes]) -> None:
        """The next events of the log, each as its line in a segment."""
        found, keys, split, odd, ops = self._found, self._keys, self._split, self._odd, _OPS
        for line in lines:
            # [seq,at,"op",layout,origin,v0,v1,…]
            parts = line.split(b",", split)
            if len(parts) <= VALUES or parts[2] not in ops:
                odd.append(line)
                continue
            layout = parts[3]
            table = found.get(layout)
            if table is None:
                continue
            width = keys[layout]
            if width == 1:
                key = parts[VALUES]
                if len(parts) == VALUES + 1:
                    key = key[:-1]  # the bracket behind a line of nothing but its key
                if key.isdigit():
                    table[key] = line
                elif _is_plain(key):
                    table[key] = line
                    self._apart = self._apart and _is_unlike_others(key)
                else:
                    odd.append(line)
                continue
            several = _several(parts, width)
            if several is None:
                odd.append(line)
            else:
                table[several] = line
                self._apart = self._apart and all(map(_is_unlike_others, several))

    def take(self) -> list[Joined]:
        """The lines of the events kept so far, in any order, by groups that are decoded at once;
        from now on it is empty again.
        """
        lines, self._odd, self._apart = self._odd, [], True
        for table in self._found.values():
            lines += table.values()
            table.clear()
        return [join_lines(lines[at : at + AT_ONCE]) for at in range(0, len(lines), AT_ONCE)]


def whole_events(groups: Iterable[Joined], tables: Mapping[int, Table]) -> Iterator[list[Event]]:
    """The events of these tables that some groups of lines hold, whole, group by group.

    Raises ValueError, LookupError or TypeError where a line is no event.
    """
    ends = {layout: VALUES + len(table.columns) for layout, table in tables.items()}
    for group in groups:
        yield [
            event if len(event) == end else event + _NO_VALUES[: end - len(event)]
            for event in load_joined(group)
            if (end := ends.get(event[LAYOUT])) is not None
        ]


def _several(parts: list[bytes], width: int) -> tuple[bytes, ...] | None:
    key = parts[VALUES : VALUES + width]
    if not width or len(key) < width:
        return None
    if len(parts) == VALUES + width:
        key[-1] = key[-1][:-1]
    return tuple(key) if all(map(_is_plain, key)) else None


def _is_plain(text: bytes) -> bool:
    """Whether a piece between two commas is the whole text of a value that is not NULL.

    >>> [_is_plain(text) for text in (b"7", b"-7.5", b'"a"', b"null", b'"a', b'"', b'{"b":"AA=="}')]
    [True, True, True, False, False, False, False]
    """
    first = text[0] if text else _BRACE
    if first == _QUOTE:
        return len(text) > 1 and text[-1] == _QUOTE and b"\\" not in text
    return first != _BRACE and text != _NULL


def _is_unlike_others(text: bytes) -> bool:
    """Whether a plain value is no other one's equal, as the real number 1.0 is that of 1.

    >>> [_is_unlike_others(text) for text in (b"7", b"-7", b'"7.0"', b"7.0", b"1e22", b"-0.0")]
    [True, True, True, False, False, False]
    """
    return text[0] == _QUOTE or text.lstrip(b"-").isdigit()
