"""The schema `cdc` of the target: made, brought up to date, read and written.

The tables are described in `triggers/postgres/state.sql` and the steps behind it. The position
itself is advanced by `cdc.postgres.apply` alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.rows import class_row, kwargs_row
from psycopg.types.json import Jsonb

from cdc.errors import TargetRefused
from cdc.postgres.connection import Connection
from cdc.postgres.keys import load_key
from cdc.postgres.translate import translated
from cdc.resources import load_sql
from cdc.schema import Key

VERSION: Final = 12

STEPS: Final[dict[int, str]] = {
    2: "postgres/step_2.sql",
    3: "postgres/step_3.sql",
    4: "postgres/step_4.sql",
    5: "postgres/step_5.sql",
    6: "postgres/step_6.sql",
    7: "postgres/step_7.sql",
    8: "postgres/step_8.sql",
    9: "postgres/step_9.sql",
    10: "postgres/step_10.sql",
    11: "postgres/step_11.sql",
    12: "postgres/step_12.sql",
}
"""For each version after the first, the SQL file that leads to it from the one before."""

PRUNE_BATCH: Final = 10_000
"""Boundaries deleted in one transaction."""

# "cdc make" in ASCII: held while the schema or a table of ours is made, changed or dropped.
_MAKING: Final = "SELECT pg_advisory_xact_lock(7161958298351135589)"

_SOURCES: Final = (
    "SELECT name, path, log_id, applied_seq, applied_digest, applied_at, updated_at, state, message"
    " FROM cdc.source"
)

TableState = Literal["copying", "live"]


@dataclass(frozen=True, slots=True)
class TargetIdentity:
    """Which target this is (`id`, random, made once) and the version of its schema `cdc`."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Source:
    """One source as the target knows it.

    `applied_seq` is the last event applied, `applied_digest` that event's digest, `applied_at` its
    Julian day (both None before the first event). `state` and `message` are for people.
    """

    name: str
    path: str
    log_id: str
    applied_seq: int
    applied_digest: bytes | None
    applied_at: float | None
    updated_at: datetime
    state: str
    message: str


@dataclass(frozen=True, slots=True)
class CapturedTable:
    """One target table of ours. `last_key` is the end of what was copied, None at both ends."""

    source: str
    name: str
    target_schema: str
    target_name: str
    definition: Any
    state: TableState
    since_seq: int
    last_key: Key | None
    copied_rows: int
    created_at: datetime
    updated_at: datetime


def install(conn: Connection) -> TargetIdentity:
    """Make the schema `cdc`, or bring it up to date; safe beside other processes that do the same.

    Raises TargetRefused where a newer cdc made it, or where the schema is somebody else's.
    """
    known = identity(conn)
    if known is not None and known.version == VERSION:
        return known
    with translated("make the schema cdc"), conn.transaction():
        conn.execute(_MAKING)
        known = identity(conn)
        if known is None:
            _create(conn)
        else:
            _migrate(conn, known.version)
    made = identity(conn)
    assert made is not None
    return made


def identity(conn: Connection) -> TargetIdentity | None:
    """The target's id and version, None where there is no schema `cdc` yet. Changes nothing.

    Raises TargetRefused where a newer cdc made the schema.
    """
    with translated("read the schema cdc"):
        # Not to_regclass(): that may remember that there was no schema, although somebody has made
        # it since, and we have waited for their lock.
        found = conn.execute(
            "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'cdc' AND c.relname = 'target'"
        ).fetchone()
        if found is None:
            return None
        with conn.cursor(row_factory=class_row(TargetIdentity)) as cur:
            known = cur.execute("SELECT id, version FROM cdc.target").fetchone()
    if known is not None and known.version > VERSION:
        raise TargetRefused(
            f"the schema cdc has version {known.version}; this cdc knows {VERSION}",
            hint="a newer cdc has used this database: run that version, or upgrade this one",
        )
    return known


def lock_making(conn: Connection) -> None:
    """Inside a transaction: wait until nobody else makes, changes or drops what is ours."""
    conn.execute(_MAKING)


def sources(conn: Connection) -> list[Source]:
    """All sources, by name."""
    with translated("read the positions"), conn.cursor(row_factory=class_row(Source)) as cur:
        return cur.execute(_SOURCES + " ORDER BY name").fetchall()


def source(conn: Connection, name: str) -> Source | None:
    """One source, with its position, or None where it is not registered."""
    with translated("read a position"), conn.cursor(row_factory=class_row(Source)) as cur:
        return cur.execute(_SOURCES + " WHERE name = %s", (name,)).fetchone()


def wait_for_commits(conn: Connection, name: str) -> None:
    """Wait until what was being applied to a source has come to its end. The server may still be at
    a COMMIT whose process is dead: what is read of the source before that is over is too old.
    """
    with translated("wait for what is being applied"):
        # Whoever applies holds this row.
        conn.execute("SELECT FROM cdc.source WHERE name = %s FOR UPDATE", (name,))


def register_source(
    conn: Connection, name: str, *, path: str, log_id: str, applied_seq: int, digest: bytes | None
) -> None:
    """Add a source that stands at `applied_seq` of the log `log_id`, or start it anew there.

    For a source that is known already this gives up its boundaries; its tables stay as they are.
    """
    with translated(f"register source {name!r}"), conn.transaction():
        conn.execute("DELETE FROM cdc.boundary WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.hold_back WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.pruned WHERE source = %s", (name,))
        conn.execute(
            "INSERT INTO cdc.source (name, path, log_id, applied_seq, applied_digest)"
            " VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (name) DO UPDATE SET path = excluded.path, log_id = excluded.log_id,"
            " applied_seq = excluded.applied_seq, applied_digest = excluded.applied_digest,"
            " applied_at = NULL, updated_at = now(), state = 'new', message = ''",
            (name, path, log_id, applied_seq, digest),
        )


def forget_source(conn: Connection, name: str) -> None:
    """Delete all that the target knows of a source. Its tables are released or dropped before."""
    with translated(f"forget source {name!r}"), conn.transaction():
        conn.execute("DELETE FROM cdc.captured_table WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.boundary WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.quarantine WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.left_out WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.request WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.hold_back WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.pruned WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.baseline_wanted WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.queue WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.reverse WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.reverse_quarantine WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.proven_range WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.unproven WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.proof_run WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.drift WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.replay WHERE source = %s", (name,))
        conn.execute("DELETE FROM cdc.source WHERE name = %s", (name,))


def move_source(conn: Connection, name: str, path: str) -> None:
    """Record that the file of a source lies elsewhere now."""
    with translated(f"record the path of source {name!r}"):
        conn.execute("UPDATE cdc.source SET path = %s WHERE name = %s", (path, name))


def set_back(
    conn: Connection, name: str, *, seq: int, digest: bytes | None, at: float | None
) -> None:
    """Set the position of a source to where its rows are, or are about to be made again from.

    All else that is known of its log stays true. For whoever holds the source's lock.
    """
    with translated(f"set the position of source {name!r}"):
        conn.execute(
            "UPDATE cdc.source SET applied_seq = %s, applied_digest = %s, applied_at = %s,"
            " updated_at = clock_timestamp() WHERE name = %s",
            (seq, digest, at, name),
        )


def record_boundary(conn: Connection, name: str, seq: int, at: float | None) -> None:
    """Record that no transaction of the source is cut in two behind an event."""
    with translated(f"record a boundary of source {name!r}"):
        conn.execute(
            "INSERT INTO cdc.boundary (source, seq, at) VALUES (%s, %s, %s)"
            " ON CONFLICT (source, seq) DO NOTHING",
            (name, seq, at),
        )


def set_state(conn: Connection, name: str, state: str, message: str = "") -> None:
    """Record what a source is doing, for `cdc status`; writes only where it differs."""
    with translated(f"record the state of source {name!r}"):
        conn.execute(
            "UPDATE cdc.source SET state = %(state)s, message = %(message)s WHERE name = %(name)s"
            " AND (state, message) IS DISTINCT FROM (%(state)s, %(message)s)",
            {"name": name, "state": state, "message": message},
        )


def captured_tables(conn: Connection, source: str | None = None) -> list[CapturedTable]:
    """The tables of one source, or of all, by source and name."""
    rows = kwargs_row(_captured_table)
    with translated("read the captured tables"), conn.cursor(row_factory=rows) as cur:
        return cur.execute(
            "SELECT source, name, target_schema, target_name, definition, state, since_seq,"
            " last_key, copied_rows, created_at, updated_at FROM cdc.captured_table"
            " WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY source, name",
            {"source": source},
        ).fetchall()


def restart_copy(
    conn: Connection, source: str, name: str, *, definition: object, since_seq: int
) -> None:
    """Have a table copied again from its first key; its rows stay until the chunks reach them.

    Its quarantine is emptied: the copy fills it again with what still does not fit.
    """
    with translated(f"restart the copy of {name!r}"), conn.transaction():
        conn.execute("DELETE FROM cdc.quarantine WHERE source = %s AND name = %s", (source, name))
        found = conn.execute(
            "UPDATE cdc.captured_table SET state = 'copying', definition = %s, since_seq = %s,"
            " last_key = NULL, copied_rows = 0, updated_at = now() WHERE source = %s AND name = %s",
            (Jsonb(definition), since_seq, source, name),
        ).rowcount
    if not found:
        raise TargetRefused(f"the target has no table for {name!r} of source {source!r}")


def begin_anew(conn: Connection, source: str, name: str, since_seq: int) -> None:
    """Have a table that was emptied filled from its first key, with the mapping that it has."""
    with translated(f"begin {name!r} anew"):
        row = conn.execute(
            "SELECT definition FROM cdc.captured_table WHERE source = %s AND name = %s",
            (source, name),
        ).fetchone()
    definition = (row[0] if row else {}) | {"fresh": True}
    restart_copy(conn, source, name, definition=definition, since_seq=since_seq)


def boundary_before(conn: Connection, source: str, seq: int) -> int | None:
    """The last committed boundary of a source at or before `seq`, if there is one."""
    with translated(f"read the boundaries of source {source!r}"):
        row = conn.execute(
            "SELECT max(seq) FROM cdc.boundary WHERE source = %s AND seq <= %s", (source, seq)
        ).fetchone()
    return row[0] if row else None


def prune_boundaries(
    conn: Connection, source: str, *, before: float, batch: int = PRUNE_BATCH
) -> int:
    """Delete a source's boundaries older than `before` (a Julian day), oldest first; how many.

    The newest one stays. Works in transactions of at most `batch` rows.
    """
    total = 0
    while True:
        with translated(f"prune the boundaries of source {source!r}"):
            deleted = conn.execute(
                "WITH oldest AS (SELECT seq, at FROM cdc.boundary WHERE source = %(source)s"
                "  ORDER BY seq LIMIT %(batch)s)"
                " DELETE FROM cdc.boundary b USING oldest"
                " WHERE b.source = %(source)s AND b.seq = oldest.seq"
                " AND coalesce(oldest.at, 0) < %(before)s"
                " AND b.seq < (SELECT max(seq) FROM cdc.boundary WHERE source = %(source)s)",
                {"source": source, "before": before, "batch": batch},
            ).rowcount
        total += deleted
        if deleted < batch:
            return total


def _captured_table(*, last_key: str | None, **columns: Any) -> CapturedTable:
    return CapturedTable(last_key=None if last_key is None else load_key(last_key), **columns)


def _create(conn: Connection) -> None:
    row = conn.execute(
        "SELECT n.oid, (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid)"
        " FROM pg_namespace n WHERE nspname = 'cdc'"
    ).fetchone()
    if row is not None and row[1]:
        raise TargetRefused(
            "the database has a schema cdc that is not ours",
            hint="rename that schema, or give cdc a database of its own",
        )
    if row is None:  # IF NOT EXISTS would ask for the right to create it even where it exists
        conn.execute("CREATE SCHEMA cdc")
    conn.execute(load_sql("postgres/state.sql").encode())
    conn.execute("INSERT INTO cdc.target (id, version) VALUES (gen_random_uuid()::text, 1)")
    # A new schema takes the same way as an old one, so that the two cannot differ.
    _migrate(conn, 1)


def _migrate(conn: Connection, version: int) -> None:
    for step in range(version + 1, VERSION + 1):
        conn.execute(load_sql(STEPS[step]).encode())
    conn.execute(load_sql("postgres/guard.sql").encode())
    conn.execute(load_sql("postgres/queue.sql").encode())
    conn.execute("UPDATE cdc.target SET version = %s", (VERSION,))
