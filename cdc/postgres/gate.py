"""The gate: who may write to the target tables. Its SQL is `triggers/postgres/guard.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from cdc.errors import GateHeld, TargetRefused
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

MOST_NAMED: Final = 5
"""Sessions that a message names."""


@dataclass(frozen=True, slots=True)
class Gate:
    """`open` is false while SQLite is master. Each change of it makes the next epoch."""

    open: bool
    epoch: int


def read_gate(conn: Connection) -> Gate:
    """The gate as it is now. An applier keeps the epoch and hands it over with each batch."""
    with translated("read the gate"), conn.cursor(row_factory=class_row(Gate)) as cur:
        gate = cur.execute("SELECT open, epoch FROM cdc.gate").fetchone()
    if gate is None:
        raise TargetRefused("the gate is gone from the schema cdc", hint="cdc.gate must hold a row")
    return gate


def open_gate(conn: Connection, epoch: int, *, wait_seconds: float) -> Gate:
    """Let everybody write to the target tables, and queue what they write for the way back.

    `epoch` is the gate's as it was read. May be part of a transaction of the caller's, which has to
    be READ COMMITTED; from then on cdc's own forward writers wait, and fail after its COMMIT.
    Raises GateMoved; GateHeld when a writer of cdc's did not end within `wait_seconds`.
    """
    return _turn(conn, epoch, to_open=True, wait_seconds=wait_seconds)


def close_gate(conn: Connection, epoch: int, *, wait_seconds: float) -> Gate:
    """Refuse every writer but cdc: what has been committed by then is all there is.

    As `open_gate`. Waits for every open transaction that has written, and shuts new ones out
    meanwhile. Raises GateHeld, naming who is waited for, with the gate open as before.
    """
    return _turn(conn, epoch, to_open=False, wait_seconds=wait_seconds)


def _turn(conn: Connection, epoch: int, *, to_open: bool, wait_seconds: float) -> Gate:
    action = f"{'open' if to_open else 'close'} the gate"
    with translated(action):
        try:
            with conn.transaction():
                conn.execute(f"SET LOCAL lock_timeout = {max(1, round(wait_seconds * 1000))}")
                (turned,) = conn.execute(
                    "SELECT cdc.turn_gate(%s, %s)", (to_open, epoch)
                ).fetchone() or (None,)
        except psycopg.errors.LockNotAvailable as exc:
            raise GateHeld(
                f"could not {action}: transactions that have written were not over within"
                f" {wait_seconds:g} s: {_holders(conn)}",
                hint="let them commit, or end them with SELECT pg_terminate_backend(pid); then try"
                " again",
            ) from exc
    return Gate(to_open, int(str(turned)))


def _holders(conn: Connection) -> str:
    """Who holds the gate as it is, for a message."""
    rows = conn.execute(
        "SELECT pid, role, application, state, seconds FROM cdc.gate_holders()"
    ).fetchall()
    return named_sessions(rows)


def named_sessions(rows: Sequence[tuple[Any, ...]]) -> str:
    """Sessions for a message: pid, role, application, state, age of the transaction in seconds.

    All but the pid may be None, as far as the role may not know it.
    """
    named = []
    for pid, user, application, state, age in rows[:MOST_NAMED]:
        words = [f"pid {pid}"]
        if user:
            words.append(f"{user}, {application or 'no name'}")
        if age is not None:
            words.append(f"{state or 'active'} for {float(age):.1f} s")
        named.append(f"{words[0]} ({'; '.join(words[1:])})" if words[1:] else words[0])
    more = len(rows) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "") or "they are over by now"
