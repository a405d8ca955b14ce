"""Reading an SQL literal back, by SQLite's grammar and not by how the applier writes it."""

import re
from typing import Final

from cdc.schema import UndecodableText, Value

_TEXT: Final = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
_BLOB: Final = re.compile(r"[xX]'((?:[0-9a-fA-F]{2})*)'")
_CAST: Final = re.compile(r"CAST\([xX]'((?:[0-9a-fA-F]{2})*)' AS TEXT\)")
_INTEGER: Final = re.compile(r"-?[0-9]+")


def parse_literal(text: str) -> Value:
    """The value that a literal stands for. Raises ValueError for what is none.

    >>> [parse_literal(t) for t in ("7", "7.0", "'it''s'", "X'37'", "CAST(X'6100' AS TEXT)")]
    [7, 7.0, "it's", b'7', 'a\\x00']
    """
    if match := _TEXT.fullmatch(text):
        return match[1].replace("''", "'")
    if match := _BLOB.fullmatch(text):
        return bytes.fromhex(match[1])
    if match := _CAST.fullmatch(text):
        return _text(bytes.fromhex(match[1]))
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _text(raw: bytes) -> Value:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return UndecodableText(raw)
