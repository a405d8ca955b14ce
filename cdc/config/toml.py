"""Python values as TOML writes them, for the file that `cdc init` makes and for messages."""

from datetime import date, datetime, time

_ESCAPES = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def toml_value(value: object) -> str:
    r"""One value on one line, as it would stand behind `key = ` (only what TOML can hold).

    >>> toml_value('C:\\data "old"\n'), toml_value(True), toml_value(1.0), toml_value(("*",))
    ('"C:\\\\data \\"old\\"\\n"', 'true', '1.0', '["*"]')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + "".join(_escaped(c) for c in value) + '"'
        case list() | tuple():
            return "[" + ", ".join(toml_value(item) for item in value) + "]"
        case dict():
            pairs = (f"{toml_value(str(k))} = {toml_value(v)}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        case int() | float():
            return repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            raise TypeError(f"TOML has no form for {value!r}")


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return f"\\u{ord(char):04x}" if ord(char) < 0x20 or ord(char) == 0x7F else char
