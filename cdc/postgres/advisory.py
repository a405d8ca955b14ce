"""Locks that say who may do something alone: for a session, and over with it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

ENDING_SECONDS: Final = 5.0
"""Patience for a session whose process has ended: the server finds out when it gets to it."""


def key_of(name: str) -> int:
    """The key of the lock of this name, a bigint."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def held(conn: Connection, key: int, *, patience: float) -> Iterator[bool]:
    """Hold a lock for the length of the block; it is given whether it could be taken."""
    is_held = take(conn, key, patience=patience)
    try:
        yield is_held
    finally:
        if is_held:
            with translated("give a lock back"):
                conn.execute("SELECT pg_advisory_unlock(%s)", (key,))


def take(conn: Connection, key: int, *, patience: float) -> bool:
    """Take a lock for as long as the connection lasts, outside of any transaction; False where
    another session keeps it for longer than `patience` seconds.
    """
    with translated("take a lock"):
        return _take(conn, key, patience)


def _take(conn: Connection, key: int, patience: float) -> bool:
    if not patience:
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
        return bool(row and row[0])
    try:
        with conn.transaction():
            conn.execute("SELECT set_config('lock_timeout', %s, true)", (f"{patience}s",))
            conn.execute("SELECT pg_advisory_lock(%s)", (key,))
    except psycopg.errors.LockNotAvailable:
        return False
    return True
