"""Connection strings: read, filled with libpq's defaults, and described without their password.

libpq and psycopg quote parts of a string that they cannot read in their error messages. The part
may be a password, so none of those messages goes further than this module.
"""

import re
from typing import Final

import psycopg
from psycopg import conninfo, pq

from cdc.errors import ConfigError

_FORM: Final = (
    'write "embedded", a URL (postgresql://user:password@host:5432/database) or '
    '"host=… port=… dbname=… user=…"'
)
_URL: Final = re.compile(r"postgres(?:ql)?://")


def parse(dsn: str) -> dict[str, str]:
    """The parameters of a connection string, as given.

    Raises ConfigError, which quotes nothing of the string.
    """
    _refuse_unescaped(dsn)
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        given = None
    if given is None:  # outside of the except block: the cause would print the password
        raise ConfigError("the PostgreSQL connection string cannot be read", hint=_FORM)
    ports = str(given.get("port") or "")
    if not re.fullmatch(r"[0-9,]*", ports):
        raise ConfigError("the port in the PostgreSQL connection string is no number", hint=_FORM)
    return {name: str(value) for name, value in given.items() if value is not None}


def describe(dsn: str) -> str:
    """Where a connection string leads, for people: database, server and user, no password.

    >>> describe("postgresql://me:secret@db.example:5433/shop")
    'database "shop" at db.example:5433 as user "me"'
    """
    known = _defaults() | parse(dsn)
    user = known.get("user", "")
    host = known.get("host") or known.get("hostaddr") or "the local socket"
    port = known.get("port", "5432")
    return f'database "{known.get("dbname") or user}" at {host}:{port} as user "{user}"'


def _defaults() -> dict[str, str]:
    """What libpq takes from the environment and from itself for what a string leaves out."""
    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val
    }


def _refuse_unescaped(dsn: str) -> None:
    """Refuse a URL whose password holds a bare `@` or `/`.

    libpq would take the rest of that password for the name of the host, and print it.
    """
    url = _URL.match(dsn)
    if url is None:
        return
    _, *rest = re.split("[@/]", dsn[url.end() :], maxsplit=1)
    if rest and "@" in rest[0].split("?")[0]:
        raise ConfigError(
            "the URL of PostgreSQL holds a character that must be escaped",
            hint="in user and password write %40 for @, %2F for /, %3A for : and %25 for %",
        )


def database(dsn: str) -> str:
    """The name of the database that a connection string leads to.

    >>> database("postgresql://me@db.example/shop")
    'shop'
    """
    known = _defaults() | parse(dsn)
    return known.get("dbname") or known.get("user", "")
