"""The exceptions of psycopg, in the words of `cdc.errors`.

Everything in this package that calls psycopg does so inside `translated("what it is doing")`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from cdc.errors import (
    GateMoved,
    PositionMoved,
    RelationGone,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)

POSITION_MOVED: Final = "CD001"
"""Raised by `cdc.enter()`; the class CD is not one of PostgreSQL's."""

GATE_MOVED: Final = "CD002"
"""Raised by `cdc.enter()` and `cdc.turn_gate()`."""

UNDEFINED_TABLE: Final = "42P01"

# By SQLSTATE or its first two characters: what may well succeed when it is tried again.
_PASSING: Final = frozenset(
    (
        "08",  # connection lost
        "40",  # deadlock, serialization failure
        "53",  # disk full, out of memory, too many connections: somebody will mend it
        "57",  # cancelled, shutting down, starting up
        "25P03",  # idle_in_transaction_session_timeout closed the session
        "25P04",  # transaction_timeout closed the session
        "55006",  # object in use
        "55P03",  # lock not available
        "58000",  # system error
        "58030",  # I/O error
    )
)
_LASTING: Final = frozenset(("53400",))  # a configured limit (of temporary files) is exceeded

# What the server says in an internal error's words (which are never translated) when somebody
# else has changed or dropped an object in the same moment.
_INTERNAL: Final = "XX000"
_CROSSED: Final = re.compile(
    r"tuple concurrently (updated|deleted)|cache lookup failed|could not open relation with OID"
)

_HINTS: Final = {
    "25006": "cdc needs the primary: is this a standby, or is default_transaction_read_only set for"
    " the role or the database?",
    "2BP01": "something else in the database depends on it: drop or move that first",
    "42501": "the role needs CREATE on the database (GRANT CREATE ON DATABASE … TO …) and must own"
    " the tables that cdc writes",
    "53100": "make room on the disk of the PostgreSQL server",
    "53300": "raise max_connections on the server, or let others close theirs",
    "55P03": "another session holds a lock on the table: look into pg_stat_activity",
    "3F000": "create the schema, or let the role of the connection do so",
}

# libpq reports a failed connection as text without an SQLSTATE, in the server's language where
# the server spoke. What is not recognised counts as passing: trying again does no harm.
_REFUSED_LOGINS: Final = (
    (r"password authentication failed|authentication failed", "check user and password"),
    (r"no password supplied", "the server wants a password: put it into the DSN or ~/.pgpass"),
    (r"no pg_hba\.conf entry", "pg_hba.conf of the server does not allow this connection"),
    (r'role ".*" does not exist', "create the role, or correct the user in the DSN"),
    (r'database ".*" does not exist', "create the database, or correct its name in the DSN"),
    (r"permission denied for database", "GRANT CONNECT ON DATABASE … TO …"),
    (r"is not permitted to log in", "ALTER ROLE … LOGIN"),
    (r"not currently accepting connections", "ALTER DATABASE … ALLOW_CONNECTIONS true"),
    (r"does not support SSL|certificate|invalid sslmode", "check the ssl… settings of the DSN"),
    (r"Permission denied", "may this user open the socket of the server?"),
    (r"invalid (integer )?value|invalid .* value|invalid port", "correct the DSN"),
)
_UNREACHABLE: Final = (
    (r"resolve host|translate host name", "no such host: check the name and the network"),
    (r"Connection refused|No such file", "is the server running, and host and port right?"),
    (r"too many (clients|connections)|slots are reserved", _HINTS["53300"]),
    (r"starting up|shutting down|recovery mode|not yet accepting", "the server will be back soon"),
    (r"timeout|timed out", "check host, port and firewall"),
)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn any psycopg.Error inside into a TargetError that says what was being done."""
    try:
        yield
    except psycopg.Error as exc:
        raise translate(exc, action) from exc


def translate(exc: psycopg.Error, action: str) -> TargetError:
    """The TargetError for an error of an open connection; `action` completes 'could not …'."""
    text, state = reason(exc), exc.sqlstate
    if state == POSITION_MOVED:
        return PositionMoved(f"could not {action}: {text}")
    if state == GATE_MOVED:
        return GateMoved(f"could not {action}: {text}")
    if state == UNDEFINED_TABLE:
        return RelationGone(f"could not {action}: {text}", hint=exc.diag.message_hint or "")
    hint = exc.diag.message_hint or _HINTS.get(state or "", "")
    message = f"could not {action}: {text}"
    if _is_passing(exc):
        return TargetUnavailable(message, hint=hint)
    return TargetRefused(message, hint=hint)


def translate_login(exc: psycopg.Error, where: str) -> TargetError:
    """The TargetError for a connection that could not be made to `where` (as of `describe`)."""
    text = str(exc)
    message = f"could not connect to {where}: {_cause_of_login(text)}"
    for pattern, hint in _REFUSED_LOGINS:
        if re.search(pattern, text):
            return TargetRefused(message, hint=hint)
    for pattern, hint in _UNREACHABLE:
        if re.search(pattern, text):
            return TargetUnavailable(message, hint=hint)
    return TargetUnavailable(message)


def reason(exc: psycopg.Error) -> str:
    """The cause in one line: the server's primary message and, where it adds names, the detail."""
    if not exc.diag.message_primary:
        return _first_line(str(exc)) or type(exc).__name__
    # Details quote values of rows; only those of a violated constraint help more than they show.
    detail = exc.diag.message_detail if (exc.sqlstate or "").startswith("23") else None
    return exc.diag.message_primary + (f" ({detail})" if detail else "")


def _is_passing(exc: psycopg.Error) -> bool:
    state = exc.sqlstate
    if state is None:  # not the server's word: a lost connection, or a misuse of the driver
        return isinstance(exc, psycopg.OperationalError)
    if state == _INTERNAL:
        return bool(_CROSSED.match(exc.diag.message_primary or ""))
    return state not in _LASTING and (state in _PASSING or state[:2] in _PASSING)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _cause_of_login(text: str) -> str:
    """libpq's last words, without where it tried: `connection to server at …, port … failed: `."""
    line = _first_line(text)
    return re.sub(
        r"^connection (?:failed|is bad): (?:connection to server .*? failed: )?", "", line
    )
