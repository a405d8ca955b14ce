"""What looks at the health have found, kept in the target: `triggers/postgres/step_10.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

SINCE_VERSION: Final = 10

Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class KeptLook:
    """One look: `findings` and `counted` as JSON, `age_seconds` by the server's clock."""

    at: datetime
    verdict: Verdict
    findings: list[dict[str, Any]]
    counted: dict[str, Any]
    age_seconds: float


def keep(
    conn: Connection,
    verdict: Verdict,
    findings: Sequence[dict[str, Any]],
    counted: dict[str, Any],
    *,
    hours: float,
) -> None:
    """Keep what a look has found, and forget what is older than `hours`."""
    with translated("keep what the health check has found"), conn.transaction():
        conn.execute(
            "INSERT INTO cdc.health (verdict, findings, counted) VALUES (%s, %s, %s)",
            (verdict, Jsonb(list(findings)), Jsonb(counted)),
        )
        conn.execute(
            "DELETE FROM cdc.health WHERE at < clock_timestamp() - make_interval(secs => %s)",
            (hours * 3600,),
        )


def last(conn: Connection) -> KeptLook | None:
    """The newest look, None without one."""
    with (
        translated("read what the health check has found"),
        conn.cursor(row_factory=class_row(KeptLook)) as cursor,
    ):
        return cursor.execute(
            "SELECT at, verdict, findings, counted,"
            " extract(epoch FROM clock_timestamp() - at)::float8 AS age_seconds"
            " FROM cdc.health ORDER BY at DESC, id DESC LIMIT 1"
        ).fetchone()
