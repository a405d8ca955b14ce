"""Names in SQLite's SQL. SQLite's drivers have no identifier type, so this is the one place."""

from typing import Final

OWN_PREFIX: Final = "_cdc_"
"""Every object that we add to a file begins with this."""

CHANGELOG: Final = "_cdc_changelog"

RELEASED: Final = "_cdc_released"

FREEZE: Final = "_cdc_freeze"

MOVES: Final = "_cdc_moves"

REVERSE: Final = "_cdc_reverse"

CANARY: Final = "_cdc_canary"


def quote(name: str) -> str:
    """`name` as an identifier, whatever it holds.

    >>> print(quote('we"ird'))
    "we""ird"
    """
    return '"' + name.replace('"', '""') + '"'


def is_own(name: str) -> bool:
    """Whether an object of a schema is ours; SQLite's names are case-insensitive."""
    return name.lower().startswith(OWN_PREFIX)


def unquote(name: str) -> str:
    """The name that a piece of SQL stands for, in any of the four ways that SQLite quotes.

    >>> [unquote(text) for text in ("plain", '"we""ird"', "[a b]", "`c`", "'d'")]
    ['plain', 'we"ird', 'a b', 'c', 'd']
    """
    if name[:1] == "[":
        return name[1:-1]
    if name[:1] in ('"', "`", "'"):
        return name[1:-1].replace(name[0] * 2, name[0])
    return name
