"""The tables that wait for the operator while the others of their source go on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

SINCE_VERSION: Final = 4
"""The version of the schema cdc from which on tables can be stopped."""


@dataclass(frozen=True, slots=True)
class StoppedTable:
    """A table that is not replicated at the moment: why, and what to do about it."""

    source: str
    name: str
    reason: str
    remedy: str
    stopped_at: datetime


def stopped_tables(conn: Connection, source: str | None = None) -> list[StoppedTable]:
    """The stopped tables of one source, or of all, by source and name."""
    rows = class_row(StoppedTable)
    with translated("read the stopped tables"), conn.cursor(row_factory=rows) as cur:
        return cur.execute(
            "SELECT source, name, reason, remedy, stopped_at FROM cdc.stopped_table"
            " WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY source, name",
            {"source": source},
        ).fetchall()


def record_stopped(conn: Connection, source: str, stopped: Mapping[str, tuple[str, str]]) -> None:
    """Have exactly these tables of a source stopped; each name with its reason and its remedy."""
    with translated(f"record the stopped tables of source {source!r}"), conn.transaction():
        conn.execute(
            "DELETE FROM cdc.stopped_table WHERE source = %s AND NOT name = ANY(%s)",
            (source, list(stopped)),
        )
        for name, (reason, remedy) in stopped.items():
            conn.execute(
                "INSERT INTO cdc.stopped_table (source, name, reason, remedy)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT (source, name)"
                " DO UPDATE SET reason = excluded.reason, remedy = excluded.remedy",
                (source, name, reason, remedy),
            )
