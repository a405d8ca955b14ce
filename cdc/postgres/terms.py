"""Under which terms each source is replicated: as the daemon found them when it opened the file."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

SINCE_VERSION: Final = 11
"""The version of the schema cdc from which on terms are kept."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says of a source (JSON), and where the schema of its file stood, in
    the count of `cdc.sqlite.moves.application_schema`.
    """

    configuration: dict[str, Any]
    application_schema: int
    at: datetime


def record(
    conn: Connection, source: str, configuration: dict[str, Any], application_schema: int
) -> None:
    """Keep the terms under which a source is replicated from now on."""
    with translated(f"record the terms of {source!r}"):
        conn.execute(
            "INSERT INTO cdc.term (source, configuration, application_schema) VALUES (%s, %s, %s)"
            " ON CONFLICT (source) DO UPDATE SET configuration = excluded.configuration,"
            " application_schema = excluded.application_schema, at = clock_timestamp()",
            (source, Jsonb(configuration), application_schema),
        )


def read(conn: Connection, source: str) -> Terms | None:
    """The terms of a source, None where it was never replicated by a version that keeps them."""
    with (
        translated(f"read the terms of {source!r}"),
        conn.cursor(row_factory=class_row(Terms)) as cursor,
    ):
        return cursor.execute(
            "SELECT configuration, application_schema, at FROM cdc.term WHERE source = %s",
            (source,),
        ).fetchone()
