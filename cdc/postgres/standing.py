"""What the target says of proofs: how old the last full one is, and whether a newer one failed."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated


@dataclass(frozen=True, slots=True)
class ProofStanding:
    """The last run of the proof over a source under the gate's present epoch, and the last full one
    that was clean; None where there is none.
    """

    clean_full_at: datetime | None
    last_at: datetime | None
    last_clean: bool | None


def proof_standing(conn: Connection, source: str) -> ProofStanding:
    """How a source stands in the eyes of the proof."""
    with (
        translated(f"read the proofs of {source!r}"),
        conn.cursor(row_factory=class_row(ProofStanding)) as cursor,
    ):
        found = cursor.execute(
            "WITH run AS (SELECT p.* FROM cdc.proof_run p JOIN cdc.gate g USING (epoch)"
            " WHERE p.source = %s)"
            " SELECT (SELECT max(started_at) FROM run WHERE is_full AND guarded AND converged)"
            " AS clean_full_at,"
            " (SELECT finished_at FROM run ORDER BY id DESC LIMIT 1) AS last_at,"
            " (SELECT guarded AND converged FROM run ORDER BY id DESC LIMIT 1) AS last_clean",
            (source,),
        ).fetchone()
    return found or ProofStanding(None, None, None)
