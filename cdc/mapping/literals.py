"""A value of any storage class as the text of its SQL literal, and back."""

from cdc.schema import UndecodableText, Value

_BEFORE_CAST = "CAST(X'"
_BEHIND_CAST = "' AS TEXT)"


def literal(value: Value) -> str | None:
    """The SQL literal of a value: distinct for distinct values and storage classes.

    >>> [literal(v) for v in (7, 7.0, "7", b"7", None)]
    ['7', '7.0', "'7'", "X'37'", None]
    >>> literal("it's")
    "'it''s'"
    """
    match value:
        case None:
            return None
        case int() | float():
            return repr(value)
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''") + "'"
        case str():
            return f"{_BEFORE_CAST}{value.encode().hex()}{_BEHIND_CAST}"
        case UndecodableText():
            return f"{_BEFORE_CAST}{value.hex()}{_BEHIND_CAST}"
        case bytes():
            return f"X'{value.hex()}'"


def of_literal(text: str) -> Value:
    """The value whose literal this is; for what `literal` has made.

    >>> [of_literal(literal(v)) for v in (7, 7.0, "it's", b"7", "a\\0b")]
    [7, 7.0, "it's", b'7', 'a\\x00b']
    """
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith("X"):
        return bytes.fromhex(text[2:-1])
    if text.startswith("CAST"):
        raw = bytes.fromhex(text[len(_BEFORE_CAST) : -len(_BEHIND_CAST)])
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return UndecodableText(raw)
    return int(text) if text.lstrip("-").isdigit() else float(text)
