"""Keys of SQLite as text and back, exact for every storage class.

JSON alone would not do: it has no bytes, and jsonb turns 1e3 into 1000, another storage class.
"""

import json

from cdc.schema import Key, UndecodableText, Value


def dump_key(key: Key) -> str:
    """The key as JSON text, each value a pair of its storage class and its form.

    >>> dump_key((7, 7.5, "seven", b"7"))
    '[["i", "7"], ["r", "7.5"], ["t", "seven"], ["b", "37"]]'
    """
    return json.dumps([_dump(value) for value in key])


def load_key(text: str) -> Key:
    """The key that `dump_key` made `text` from.

    >>> load_key(dump_key((7, -0.0, "a\\0b", None)))
    (7, -0.0, 'a\\x00b', None)
    """
    return tuple(_load(kind, form) for kind, form in json.loads(text))


def _dump(value: Value) -> tuple[str, str]:
    match value:
        case None:
            return "n", ""
        case int():
            return "i", str(value)
        case float():
            return "r", repr(value)
        case str():
            return "t", value
        case UndecodableText():
            return "u", value.hex()
        case bytes():
            return "b", value.hex()


def _load(kind: str, form: str) -> Value:
    match kind:
        case "n":
            return None
        case "i":
            return int(form)
        case "r":
            return float(form)
        case "t":
            return form
        case "u":
            return UndecodableText(bytes.fromhex(form))
        case "b":
            return bytes.fromhex(form)
        case _:
            raise ValueError(f"no storage class {kind!r} in a stored key")
