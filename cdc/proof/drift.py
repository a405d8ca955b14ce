"""Rows that the drift watch has found to differ, kept in the target as long as they matter."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated
from cdc.proof.outcome import Difference, SourceOutcome

SINCE_VERSION: Final = 8

KEPT_DAYS: Final = 30
"""How long a difference that is gone stays on record."""

_NOTE: Final = (
    "INSERT INTO cdc.drift (source, name, key, what, columns) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT (source, name, md5(key)) DO UPDATE SET what = excluded.what,"
    " columns = excluded.columns, last_seen_at = clock_timestamp(), gone_at = NULL,"
    " times_seen = CASE WHEN drift.gone_at IS NULL THEN drift.times_seen + 1 ELSE 1 END"
    " RETURNING name, key, what, first_seen_at, times_seen"
)


@dataclass(frozen=True, slots=True)
class Drift:
    """A row that differs: `key` in SQL literals, `what` one of missing, extra and different.

    It was seen `times_seen` times in a row; with two the row is not just on its way.
    """

    name: str
    key: str
    what: str
    first_seen_at: datetime
    times_seen: int


def record(conn: Connection, outcome: SourceOutcome) -> list[Drift]:
    """Keep what a pass has found; returns the rows that were seen before and still differ.

    What a pass over the whole table has not found again is gone.
    """
    confirmed = []
    with translated("record the drift"), conn.transaction():
        for table in outcome.tables:
            seen = [
                _note(conn, outcome.name, table.name, difference) for difference in table.examples
            ]
            confirmed += [each for each in seen if each.times_seen == 2]
            if table.done and table.differences == len(table.examples):
                conn.execute(
                    "UPDATE cdc.drift SET gone_at = clock_timestamp() WHERE source = %s"
                    " AND name = %s AND gone_at IS NULL AND key <> ALL (%s)",
                    (outcome.name, table.name, [each.key for each in seen]),
                )
        conn.execute(
            "DELETE FROM cdc.drift WHERE source = %s"
            " AND gone_at < clock_timestamp() - make_interval(days => %s)",
            (outcome.name, KEPT_DAYS),
        )
    return confirmed


def _note(conn: Connection, source: str, name: str, difference: Difference) -> Drift:
    columns = [
        {"column": c.column, "source": c.source, "target": c.target} for c in difference.columns
    ]
    key = ", ".join(difference.key)
    with conn.cursor(row_factory=class_row(Drift)) as cursor:
        found = cursor.execute(
            _NOTE, (source, name, key, difference.what, Jsonb(columns))
        ).fetchone()
    assert found is not None
    return found


def present(conn: Connection, source: str) -> list[Drift]:
    """The rows of a source's captured tables that differ by all that is known, oldest first."""
    with translated("read the drift"), conn.cursor(row_factory=class_row(Drift)) as cursor:
        return cursor.execute(
            "SELECT name, key, what, first_seen_at, times_seen FROM cdc.drift"
            " JOIN cdc.captured_table USING (source, name)"
            " WHERE source = %s AND gone_at IS NULL AND times_seen > 1 ORDER BY first_seen_at, key",
            (source,),
        ).fetchall()
