"""What of a source's schema is not in the target: kept there for `cdc status`."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cdc.constraints import Untranslated
from cdc.postgres.connection import Connection
from cdc.postgres.state import lock_making
from cdc.postgres.translate import translated


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that is missing from the target of a table, and why."""

    table: str
    what: str
    text: str
    reason: str


def record(
    conn: Connection,
    source: str,
    table: str,
    found: Iterable[Untranslated],
    *,
    but: Collection[str] = (),
) -> None:
    """Keep what was left out of one table, in the place of what was kept before.

    What is named in `but` is recorded by itself, and stays.
    """
    with translated(f"record what {table} lacks"), conn.transaction():
        conn.execute(
            "DELETE FROM cdc.left_out WHERE source = %s AND name = %s AND what <> ALL (%s)",
            (source, table, list(but)),
        )
        _add(conn, source, table, found)


def record_one(
    conn: Connection, source: str, table: str, what: str, found: Untranslated | None
) -> None:
    """Keep, or forget where `found` is None, one thing; from the thread of whichever source."""
    with translated(f"record what {table} lacks"), conn.transaction():
        lock_making(conn)
        conn.execute(
            "DELETE FROM cdc.left_out WHERE source = %s AND name = %s AND what = %s",
            (source, table, what),
        )
        _add(conn, source, table, [] if found is None else [found])


def read(conn: Connection, source: str) -> list[LeftOut]:
    """All that is missing, by table, of the tables that are captured.

    Nothing where the schema `cdc` is of a version that did not keep it; the next run renews that.
    """
    with translated(f"read what {source!r} lacks"):
        known = conn.execute("SELECT to_regclass('cdc.left_out') IS NOT NULL").fetchone()
        if known == (False,):
            return []
        rows = conn.execute(
            "SELECT name, what, l.text, reason FROM cdc.left_out l"
            " JOIN cdc.captured_table USING (source, name)"
            " WHERE source = %s ORDER BY name, what, l.text",
            (source,),
        )
        return [LeftOut(*row) for row in rows]


def _add(conn: Connection, source: str, table: str, found: Iterable[Untranslated]) -> None:
    conn.cursor().executemany(
        "INSERT INTO cdc.left_out (source, name, what, text, reason) VALUES (%s, %s, %s, %s, %s)",
        [(source, table, each.what, each.text, each.reason) for each in found],
    )
