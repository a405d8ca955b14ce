"""Replays into the target itself: begun, how far they are, and ended.

Their position is the target's own, in `cdc.source`: so a transaction of a replay passes the gate
and the guard, and is refused like any other where somebody else has moved the position.
"""

from collections.abc import Collection
from typing import Final

from psycopg import RawCursor
from psycopg.types.json import Jsonb

from cdc.errors import TargetRefused
from cdc.postgres import state
from cdc.postgres.changes import Chunk
from cdc.postgres.connection import Connection
from cdc.postgres.ledger import TargetLedger
from cdc.postgres.translate import translated
from cdc.rebuilt import Standing

SINCE_VERSION: Final = 12
"""The version of the schema cdc from which on a target can be rebuilt."""

_COPIED: Final = b"UPDATE cdc.replay SET chunks = chunks + 1 WHERE source = $1"


class ReplayLedger(TargetLedger):
    """Keeps, beside the target's position, how many chunks are loaded."""

    def copied(self, conn: Connection, source: str, chunk: Chunk, rows: int) -> None:
        """As of `Ledger`."""
        super().copied(conn, source, chunk, rows)
        RawCursor(conn).execute(_COPIED, (source,), prepare=True)


def standing(conn: Connection, source: str) -> Standing | None:
    """How far a replay is that was begun and has not ended; None without one."""
    known = state.source(conn, source)
    with translated(f"read the replay of {source!r}"):
        row = conn.execute(
            "SELECT log_id, baselines, chunks FROM cdc.replay WHERE source = %s", (source,)
        ).fetchone()
    if row is None or known is None or known.log_id != row[0]:
        return None
    log_id, baselines, chunks = row
    numbers = {int(layout): number for layout, number in baselines.items()}
    place = (known.applied_seq, known.applied_digest, known.applied_at)
    return Standing(log_id, *place, chunks, numbers)


def begin(conn: Connection, source: str, path: str, place: Standing, live: Collection[str]) -> None:
    """Set a source's position to where its replay begins, within the caller's transaction.

    `live` are the tables that have no baseline, since they had no rows there.
    """
    known = state.source(conn, source)
    if known is None or known.log_id != place.log_id:
        state.register_source(
            conn,
            source,
            path=path,
            log_id=place.log_id,
            applied_seq=place.seq,
            digest=place.digest,
        )
    else:
        state.set_back(conn, source, seq=place.seq, digest=place.digest, at=place.at)
    with translated(f"begin the replay of {source!r}"):
        conn.execute(
            "INSERT INTO cdc.replay (source, log_id, baselines) VALUES (%(source)s, %(log)s, %(b)s)"
            " ON CONFLICT (source) DO UPDATE SET log_id = excluded.log_id,"
            " baselines = excluded.baselines, chunks = 0, started_at = clock_timestamp()",
            {
                "source": source,
                "log": place.log_id,
                "b": Jsonb({str(layout): n for layout, n in place.baselines.items()}),
            },
        )
        conn.execute(
            "UPDATE cdc.captured_table SET state = 'live' WHERE source = %s AND name = ANY (%s)",
            (source, list(live)),
        )


def end(conn: Connection, source: str) -> None:
    """The target is whole again."""
    with translated(f"end the replay of {source!r}"):
        conn.execute("DELETE FROM cdc.replay WHERE source = %s", (source,))


def refuse_unfinished(conn: Connection, source: str) -> None:
    """Raise TargetRefused where a replay has begun to rebuild the target, and has not ended."""
    if standing(conn, source) is not None:
        raise TargetRefused(
            f"a replay has begun to rebuild the target of {source}, and has not ended",
            hint=f"Run cdc replay --source {source} --yes again: it goes on where it ended.",
        )
