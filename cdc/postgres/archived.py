"""What PostgreSQL remembers of the event store: where each chain begins and ends."""

from collections.abc import Iterable
from typing import Final

from psycopg.rows import class_row

from cdc.archive.ends import Ends
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

SINCE_VERSION: Final = 5
"""The version of the schema cdc from which on there is an event store."""


_COLUMNS: Final = "source, log_id, first_number, first_previous, last_number, last_digest, last_seq"


def read_ends(conn: Connection, source: str | None = None) -> list[Ends]:
    """Every chain of one source, or of all, those recorded last at the end."""
    with (
        translated("read the ends of the archive"),
        conn.cursor(row_factory=class_row(Ends)) as cur,
    ):
        return cur.execute(
            f"SELECT {_COLUMNS} FROM cdc.archive"  # noqa: S608  (a constant of this module)
            " WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY source, updated_at",
            {"source": source},
        ).fetchall()


def record_ends(conn: Connection, ends: Ends) -> None:
    """Record the ends of a chain."""
    with translated(f"record the archive of {ends.source!r}"):
        conn.execute(
            "INSERT INTO cdc.archive (source, log_id, first_number, first_previous, last_number,"
            " last_digest, last_seq) VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (source, log_id) DO UPDATE SET first_number = excluded.first_number,"
            " first_previous = excluded.first_previous, last_number = excluded.last_number,"
            " last_digest = excluded.last_digest, last_seq = excluded.last_seq,"
            " updated_at = clock_timestamp()",
            (
                ends.source,
                ends.log_id,
                ends.first_number,
                ends.first_previous,
                ends.last_number,
                ends.last_digest,
                ends.last_seq,
            ),
        )


def forget_ends(conn: Connection, source: str, log_id: str | None = None) -> None:
    """Forget one chain of a source, or all."""
    with translated(f"forget the archive of {source!r}"):
        conn.execute(
            "DELETE FROM cdc.archive WHERE source = %(source)s"
            " AND (%(log_id)s::text IS NULL OR log_id = %(log_id)s)",
            {"source": source, "log_id": log_id},
        )


def want_baselines(conn: Connection, source: str, tables: Iterable[str]) -> None:
    """Have a new baseline of these tables written, as soon as the daemon gets to it.

    For whoever found that the target had to be made equal to SQLite without an event: the store
    lacks that change, too.
    """
    with translated(f"ask for baselines of {source!r}"):
        for table in tables:
            conn.execute(
                "INSERT INTO cdc.baseline_wanted (source, name) VALUES (%s, %s)"
                " ON CONFLICT (source, name) DO UPDATE SET asked_at = excluded.asked_at",
                (source, table),
            )


def wanted_baselines(conn: Connection, source: str) -> dict[str, float]:
    """The tables of which a new baseline is wanted, and since when (Unix time)."""
    with translated(f"read the baselines that are wanted of {source!r}"):
        rows = conn.execute(
            "SELECT name, extract(epoch FROM asked_at)::float8 FROM cdc.baseline_wanted"
            " WHERE source = %s",
            (source,),
        ).fetchall()
    return dict(rows)


def end_wish(conn: Connection, source: str, table: str, *, asked_by: float) -> None:
    """A baseline of the table is there that was begun after `asked_by` (Unix time)."""
    with translated(f"record a baseline of {source!r}"):
        conn.execute(
            "DELETE FROM cdc.baseline_wanted WHERE source = %s AND name = %s"
            " AND extract(epoch FROM asked_at)::float8 <= %s",
            (source, table, asked_by),
        )
