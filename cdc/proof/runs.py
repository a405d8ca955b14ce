"""Runs of the proof: one at a time, and each one's outcome kept in the target."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from cdc.errors import TargetRefused
from cdc.postgres import advisory
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated
from cdc.proof.outcome import SourceOutcome

LOCK: Final = 7161958298753788783
"""The key of the advisory lock ("cdc proo" in ASCII) that a run holds."""


class ProofBusy(TargetRefused):
    """Another proof of the same target is under way."""


_WAITS: Final = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND (classid::bigint << 32) | objid::bigint = %s AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


@contextmanager
def alone(conn: Connection, *, patience: float) -> Iterator[None]:
    """Keep other proofs out for the length of the block.

    Raises ProofBusy where another one has not ended within `patience` seconds.
    """
    with advisory.held(conn, LOCK, patience=patience) as is_alone:
        if not is_alone:
            raise ProofBusy(
                "another proof of this target is under way",
                hint="Wait until it has ended; two would only slow each other down.",
            )
        yield


def another_waits(conn: Connection) -> bool:
    """Whether another proof waits for the one under way to end."""
    with translated("look for other proofs"):
        row = conn.execute(_WAITS, (LOCK,)).fetchone()
    return bool(row and row[0])


def record(conn: Connection, outcome: SourceOutcome, *, full: bool, began_at: datetime) -> None:
    """Keep the outcome of a run over all tables of a source."""
    tables = outcome.tables
    with translated("record the proof"):
        conn.execute(
            "INSERT INTO cdc.proof_run (source, is_full, guarded, converged, epoch, position, rows,"
            " differences, in_flight, started_at) SELECT %s, %s, %s, %s, g.epoch, %s, %s, %s, %s,"
            " %s FROM cdc.gate g",
            (
                outcome.name,
                full,
                outcome.guarded,
                outcome.converged,
                outcome.applied_seq,
                sum(table.rows + table.kept_rows for table in tables),
                sum(table.differences for table in tables),
                outcome.in_flight,
                began_at,
            ),
        )
