"""What is proven already, kept in the target: ranges of keys, and runs.

A range is proven as of the position at which it was compared. What changed behind that position the
changelog names, and what was written without an event stands in `cdc.unproven`; so the next proof
has to look at those keys alone. This rests on the guard of the target tables, and only there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cdc.postgres import hold_back
from cdc.postgres.connection import Connection
from cdc.postgres.keys import dump_key, load_key
from cdc.postgres.translate import translated
from cdc.proof.standing import Standing
from cdc.proof.target import Bound
from cdc.schema import Key


@dataclass(frozen=True, slots=True)
class KeptRange:
    """The keys behind `after`, up to `end` (None: the table's ends): `rows` of them, their digest
    (b"" of a table that is compared whole), and the target's position at which they were equal.
    """

    after: Bound | None
    end: Bound | None
    rows: int
    digest: bytes
    position: int
    proven_at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a table. `touched` are keys written without an event, `marks` their ids."""

    ranges: Sequence[KeptRange]
    touched: Sequence[Key]
    mark: int


def load(conn: Connection, source: str, name: str, standing: Standing) -> Kept:
    """What is kept of a table, as far as it is of use under this standing.

    That is what was kept of this log, this copy of the table and this epoch of the gate, with the
    guard in place.
    """
    with translated("read what is proven"):
        touched = conn.execute(
            "SELECT id, key FROM cdc.unproven WHERE source = %s AND name = %s", (source, name)
        ).fetchall()
        rows = conn.execute(
            "SELECT after_key, after_text, end_key, end_text, rows, digest, position, proven_at, id"
            " FROM cdc.proven_range WHERE source = %s AND name = %s AND log_id = %s"
            " AND copied_at = %s AND epoch = %s AND %s",
            (source, name, standing.log_id, standing.copied_at, standing.epoch, standing.guarded),
        ).fetchall()
    ranges = [
        KeptRange(_bound(after, after_text), _bound(end, end_text), *rest)
        for after, after_text, end, end_text, *rest in rows
    ]
    keys = [load_key(key) for _, key in touched]
    return Kept(ranges, keys, max((each for each, _ in touched), default=0))


def load_unproven(conn: Connection, source: str, name: str) -> list[Key]:
    """The keys of a table that were written without an event, and that no proof has compared."""
    with translated("read what is not proven"):
        rows = conn.execute(
            "SELECT key FROM cdc.unproven WHERE source = %s AND name = %s", (source, name)
        ).fetchall()
    return [load_key(key) for (key,) in rows]


def _bound(key: str | None, texts: list[str] | None) -> Bound | None:
    return None if key is None or texts is None else Bound(tuple(texts), load_key(key))


def oldest_position(conn: Connection, source: str, names: Sequence[str]) -> int | None:
    """The oldest position that a range of these tables is proven for and that the changelog still
    reaches back to; None without any.
    """
    pruned = hold_back.pruned_to(conn, source)
    with translated("read what is proven"):
        row = conn.execute(
            "SELECT min(position) FROM cdc.proven_range"
            " WHERE source = %s AND name = ANY (%s) AND position >= %s",
            (source, list(names), pruned),
        ).fetchone()
    return row[0] if row else None


def forget(conn: Connection, ranges: Sequence[KeptRange]) -> None:
    """Forget ranges that were loaded."""
    with translated("forget what is proven"):
        conn.execute(
            "DELETE FROM cdc.proven_range WHERE id = ANY (%s)", ([each.id for each in ranges],)
        )


def save(
    conn: Connection, source: str, name: str, standing: Standing, ranges: Sequence[KeptRange]
) -> None:
    """Keep ranges, unless the table is not the one any more that was compared."""
    with translated("keep what is proven"), conn.transaction():
        if not _is_same(conn, source, name, standing):
            return
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO cdc.proven_range (source, name, log_id, copied_at, epoch, after_key,"
                " after_text, end_key, end_text, rows, digest, position)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [_row(source, name, standing, each) for each in ranges],
            )


def advance(
    conn: Connection, source: str, name: str, standing: Standing, *, position: int, mark: int
) -> None:
    """Note that all ranges of a table are equal as of `position` by now.

    That is where the target was when the log was asked for touched keys: it may be further by then.
    `mark` is the last of the keys written without an event that were compared.
    """
    with translated("keep what is proven"), conn.transaction():
        # A crash of the server that undoes it leaves a little more to the next proof.
        conn.execute("SET LOCAL synchronous_commit = off")
        if not _is_same(conn, source, name, standing):
            return
        conn.execute(
            "UPDATE cdc.proven_range SET position = %s WHERE source = %s AND name = %s"
            " AND position < %s",
            (position, source, name, position),
        )
        conn.execute(
            "DELETE FROM cdc.unproven WHERE source = %s AND name = %s AND id <= %s",
            (source, name, mark),
        )


def _is_same(conn: Connection, source: str, name: str, standing: Standing) -> bool:
    # Whoever starts to copy the table again waits for this transaction, and then forgets all.
    return (
        conn.execute(
            "SELECT FROM cdc.captured_table WHERE source = %s AND name = %s AND updated_at = %s"
            " FOR SHARE",
            (source, name, standing.copied_at),
        ).fetchone()
        is not None
    )


def _row(source: str, name: str, standing: Standing, kept: KeptRange) -> tuple[Any, ...]:
    after, end = kept.after, kept.end
    return (
        source,
        name,
        standing.log_id,
        standing.copied_at,
        standing.epoch,
        after and dump_key(after.key),
        after and list(after.texts),
        end and dump_key(end.key),
        end and list(end.texts),
        kept.rows,
        kept.digest,
        kept.position,
    )
