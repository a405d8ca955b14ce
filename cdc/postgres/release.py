"""The target tables given up: guard, queue and their triggers dropped, while others write there.

To drop a trigger takes a lock that shuts everybody out, and whoever waits for it keeps those out
who come later. So each table is tried for a moment only, and again a little later.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg import sql

from cdc.errors import TargetUnavailable
from cdc.postgres.connection import Connection
from cdc.postgres.gate import named_sessions
from cdc.postgres.translate import translated
from cdc.resources import load_sql

LOCK_MS: Final = 100
"""The longest time for which others wait behind us."""

PAUSES_SECONDS: Final = (0.2, 2.0)
"""Between two attempts, the shortest and the longest pause."""


@dataclass(slots=True)
class Released:
    """What was dropped: the `tables` (schema and name) that are free of triggers now, how many
    `triggers` that were, and how many entries of the queue nobody takes any more.
    """

    tables: list[tuple[str, str]] = field(default_factory=list)
    triggers: int = 0
    entries: int = 0


def release(
    conn: Connection, *, patience_seconds: float, wait: Callable[[float], object] = time.sleep
) -> Released:
    """Drop all that keeps others from writing, or notes what they write; then the queue.

    Each table in a transaction of its own. May be repeated: what is gone is gone. Raises
    TargetUnavailable, naming who is waited for, where a table could not be had in time.
    """
    done = Released()
    end = time.monotonic() + patience_seconds
    for table, triggers in _watched(conn).items():
        _drop(conn, table, [sql.SQL("DROP TRIGGER {} ON {}").format(t, _name(table))
                            for t in map(sql.Identifier, triggers)], end, wait)  # fmt: skip
        done.tables.append(table)
        done.triggers += len(triggers)
    with translated("count the queue"):
        found = conn.execute("SELECT to_regclass('cdc.queue')").fetchone()
        if found is not None and found[0] is not None:
            (done.entries,) = conn.execute("SELECT count(*) FROM cdc.queue").fetchone() or (0,)
    makers = [sql.SQL("DROP FUNCTION {}").format(sql.Identifier("cdc", m)) for m in _makers(conn)]
    queue = sql.SQL("DROP TABLE IF EXISTS {}").format(_name(QUEUE))
    _drop(conn, QUEUE, [*makers, queue], end, wait)
    return done


QUEUE: Final = ("cdc", "queue")


def _watched(conn: Connection) -> dict[tuple[str, str], list[str]]:
    """The triggers of ours, by the schema and name of their tables."""
    found: dict[tuple[str, str], list[str]] = {}
    with translated("look for the triggers of cdc"):
        for schema, table, trigger in conn.execute(
            load_sql("postgres/watched_tables.sql").encode()
        ):
            found.setdefault((schema, table), []).append(trigger)
    return found


def _makers(conn: Connection) -> list[str]:
    """The functions of the queue's triggers, one for each table."""
    with translated("look for the functions of the queue"):
        rows = conn.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'cdc'::regnamespace"
            " AND proname ~ '^queue_[0-9a-f]{32}$'"
        ).fetchall()
    return [str(name) for (name,) in rows]


def _drop(
    conn: Connection,
    table: tuple[str, str],
    statements: list[sql.Composed],
    end: float,
    wait: Callable[[float], object],
) -> None:
    """Run these statements in one transaction, as soon as nobody has to wait for it."""
    shortest, longest = PAUSES_SECONDS
    pause = shortest
    while True:
        try:
            with translated(f"release {'.'.join(table)}"):
                _try(conn, statements)
        except TargetUnavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            if time.monotonic() > end:
                raise TargetUnavailable(
                    f"{'.'.join(table)} is never free for a moment: {_holders(conn, table)}",
                    hint="Let them end, and run the command again. Nothing else is amiss.",
                ) from error
        else:
            return
        wait(pause * random.uniform(0.5, 1.5))  # noqa: S311  (no secret)
        pause = min(pause * 2, longest)


def _try(conn: Connection, statements: list[sql.Composed]) -> None:
    with conn.transaction():
        conn.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        for statement in statements:
            conn.execute(statement)


def _holders(conn: Connection, table: tuple[str, str]) -> str:
    name = _name(table).as_string(conn)
    with translated("look who holds a table"):
        return named_sessions(
            conn.execute(load_sql("postgres/lock_holders.sql").encode(), (name,)).fetchall()
        )


def _name(table: tuple[str, str]) -> sql.Identifier:
    return sql.Identifier(*table)
