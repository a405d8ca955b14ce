"""What the server counts of a database and of the target tables: one reading of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from psycopg.rows import class_row

from cdc.postgres.connection import APPLICATION_NAME, Connection
from cdc.postgres.translate import translated

PROBES: Final = 5
"""Small queries, of which the time that is in the middle counts."""

_COUNTERS: Final = (
    "SELECT clock_timestamp() AS at, xact_commit AS commits, xact_rollback AS rollbacks,"
    " deadlocks, stats_reset AS since"
    " FROM pg_stat_database WHERE datname = current_database()"
)

_SESSIONS: Final = (
    "SELECT count(*) FILTER (WHERE datname = current_database() AND application_name <> %s),"
    " count(*),"
    " (SELECT setting::int FROM pg_settings WHERE name = 'max_connections')"
    " - (SELECT sum(setting::int) FROM pg_settings"
    "    WHERE name IN ('superuser_reserved_connections', 'reserved_connections'))"
    " FROM pg_stat_activity WHERE backend_type = 'client backend'"
)


@dataclass(frozen=True, slots=True)
class Counters:
    """What the server has counted of the database since `since`, its last reset."""

    at: datetime
    commits: int
    rollbacks: int
    deadlocks: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions of clients: those of `others` in this database, and `all` on the server, which
    allows `limit`. Those of cdc are not the others'.
    """

    others: int
    all: int
    limit: int


def counters(conn: Connection) -> Counters:
    """The counters of the database."""
    with (
        translated("read the server's counters"),
        conn.cursor(row_factory=class_row(Counters)) as cursor,
    ):
        found = cursor.execute(_COUNTERS).fetchone()
    assert found is not None  # it is the database that answers
    return found


def sessions(conn: Connection) -> Sessions:
    """Who is connected."""
    with translated("count the sessions"):
        row = conn.execute(_SESSIONS, (APPLICATION_NAME,)).fetchone()
    return Sessions(*map(int, row or (0, 0, 1)))


def dead_rows(conn: Connection, schemas: Sequence[str], names: Sequence[str]) -> tuple[str, int]:
    """The one of these tables with the most dead rows, and how many; "" and 0 without any."""
    with translated("count dead rows"):
        row = conn.execute(
            "SELECT format('%%I.%%I', schemaname, relname), n_dead_tup FROM pg_stat_user_tables"
            " JOIN unnest(%s::text[], %s::text[]) AS t (schemaname, relname)"
            " USING (schemaname, relname) ORDER BY n_dead_tup DESC, 1 LIMIT 1",
            (list(schemas), list(names)),
        ).fetchone()
    return (str(row[0]), int(row[1])) if row else ("", 0)


def query_seconds(conn: Connection) -> float:
    """How long a small query takes, there and back."""
    taken = []
    with translated("send a small query"):
        for _ in range(PROBES):
            started = time.monotonic()
            conn.execute("SELECT open FROM cdc.gate").fetchone()
            taken.append(time.monotonic() - started)
    return median(taken)


def drifted(conn: Connection) -> tuple[int, int]:
    """How many rows were found to differ for the first time within the last hour, by the drift
    watch; and how many SQLite could not hold since then.
    """
    with translated("count what differs"):
        row = conn.execute(
            "SELECT (SELECT count(*) FROM cdc.drift"
            " WHERE times_seen > 1 AND first_seen_at > clock_timestamp() - interval '1 hour'),"
            " (SELECT count(*) FROM cdc.reverse_quarantine"
            " WHERE set_aside_at > clock_timestamp() - interval '1 hour')"
        ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
