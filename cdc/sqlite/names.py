"""Names in SQLite's SQL. SQLite's drivers have no identifier type, so this is the one place."""

from typing import Final

OWN_PREFIX: Final = "_cdc_"
"""Every object that we add to a file begins with this."""

CHANGELOG: Final = "_cdc_changelog"


def quote(name: str) -> str:
    """`name` as an identifier, whatever it holds.

    >>> print(quote('we"ird'))
    "we""ird"
    """
    return '"' + name.replace('"', '""') + '"'


def is_own(name: str) -> bool:
    """Whether an object of a schema is ours; SQLite's names are case-insensitive."""
    return name.lower().startswith(OWN_PREFIX)
