"""Who still needs which events of a changelog: until they are let go, nobody prunes those.

Whoever asks for events and whoever prunes take turns, by a lock of the table: so it is known of
each event whether it was asked for before it was given up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

SINCE_VERSION: Final = 5
"""The version of the schema cdc from which on events can be held back, and are pruned."""

REPLAY: Final = "replay"
"""Begins the name of an owner that reads the archive, too."""

# It does not conflict with itself being read, and ends with the transaction.
_TURN: Final = "LOCK TABLE cdc.hold_back IN SHARE ROW EXCLUSIVE MODE"


@dataclass(frozen=True, slots=True)
class Hold:
    """`owner` needs the events behind `seq`."""

    owner: str
    seq: int
    expires_at: datetime


def holds(conn: Connection, source: str) -> list[Hold]:
    """Who needs events of a source, lowest seq first."""
    with (
        translated(f"read what holds {source!r} back"),
        conn.cursor(row_factory=class_row(Hold)) as cur,
    ):
        return cur.execute(
            "SELECT owner, seq, expires_at FROM cdc.hold_back WHERE source = %s"
            " AND expires_at > clock_timestamp() ORDER BY seq, owner",
            (source,),
        ).fetchall()


def is_replayed(conn: Connection, source: str) -> bool:
    """Whether somebody may be reading what is archived of a source."""
    return any(hold.owner.startswith(REPLAY) for hold in holds(conn, source))


@contextmanager
def unless_replayed(conn: Connection, source: str) -> Iterator[bool]:
    """Whether nobody reads what is archived of a source; nor does anybody begin to in the block."""
    with translated(f"keep replays of {source!r} waiting"), conn.transaction():
        conn.execute(_TURN)
        yield not is_replayed(conn, source)


def keep_from(conn: Connection, source: str, owner: str, seq: int, *, seconds: float) -> bool:
    """Have the events behind `seq` stay in the changelog for `seconds`, or until `let_go`.

    False where some of them may be gone already; then nothing is held back. `owner` tells one who
    needs them from another; what the same one has asked for before is replaced.
    """
    with translated(f"hold back the events of {source!r}"), conn.transaction():
        conn.execute(_TURN)
        if pruned_to(conn, source) > seq:
            return False
        conn.execute(
            "INSERT INTO cdc.hold_back (source, owner, seq, expires_at)"
            " VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s))"
            " ON CONFLICT (source, owner)"
            " DO UPDATE SET seq = excluded.seq, expires_at = excluded.expires_at",
            (source, owner, seq, seconds),
        )
    return True


def keep_from_stand(
    conn: Connection, source: str, owner: str, stand: Callable[[], int], *, seconds: float
) -> int | None:
    """`keep_from` where one stands, which `stand` tells; asked again where that has moved on, and
    what lies behind it was pruned. The event; None where it stands still, and some are gone.
    """
    seq = stand()
    while not keep_from(conn, source, owner, seq, seconds=seconds):
        before, seq = seq, stand()
        if seq == before:
            return None
    return seq


def let_go(conn: Connection, source: str, owner: str) -> None:
    """Need no events any more; harmless when that is so already."""
    with translated(f"let the events of {source!r} go"), conn.transaction():
        # A crash of the server that undoes it leaves what expires by itself.
        conn.execute("SET LOCAL synchronous_commit = off")
        conn.execute("DELETE FROM cdc.hold_back WHERE source = %s AND owner = %s", (source, owner))


def give_up(conn: Connection, source: str, seq: int) -> int:
    """Give the events up to `seq` up, as far as nobody needs them: up to which ones that is.

    These may be pruned from then on, if they were applied before the call: all that was committed
    is on PostgreSQL's disk then, so that no crash takes the position back behind them.
    """
    with translated(f"give up events of {source!r}"), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = on")
        conn.execute(_TURN)
        conn.execute(
            "DELETE FROM cdc.hold_back WHERE source = %s AND expires_at < clock_timestamp()",
            (source,),
        )
        row = conn.execute(
            "INSERT INTO cdc.pruned (source, seq) SELECT %(source)s, least(%(seq)s, min(seq))"
            " FROM cdc.hold_back WHERE source = %(source)s"
            " ON CONFLICT (source) DO UPDATE SET seq = greatest(pruned.seq, excluded.seq)"
            " RETURNING seq",
            {"source": source, "seq": seq},
        ).fetchone()
    assert row is not None
    return int(row[0])


def pruned_to(conn: Connection, source: str) -> int:
    """Events up to this seq may be gone from the changelog; 0 where none are."""
    with translated(f"read how far {source!r} was pruned"):
        row = conn.execute("SELECT seq FROM cdc.pruned WHERE source = %s", (source,)).fetchone()
    return row[0] if row else 0
