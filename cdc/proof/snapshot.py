"""One snapshot of a target table, together with the position that it is at."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from cdc.errors import GateMoved, TargetRefused
from cdc.postgres.connection import Connection
from cdc.postgres.keys import load_key
from cdc.postgres.translate import translated
from cdc.proof.packing import ROWS_AT_ONCE
from cdc.proof.standing import Standing
from cdc.proof.target import Bound, ProvenTable, TargetRange, TargetRow
from cdc.resources import load_sql
from cdc.schema import Key


class Snapshot:
    """One snapshot of a table, for as long as it is open, and what the target says of it."""

    def __init__(self, conn: Connection, table: ProvenTable) -> None:
        self._conn = conn
        self.table = table
        self.standing = table.standing or _standing(conn, table)

    @property
    def position(self) -> int:
        return self.standing.position

    def digest(self, after: Bound | None, end: Bound | None, limit: int) -> TargetRange:
        """The next `limit` rows behind `after`, up to `end`, digested."""
        with translated(f"digest {self._name}"):
            found = self._conn.execute(
                self.table.range_query(after, end, limit), binary=True, prepare=False
            ).fetchone()
        assert found is not None
        return self.table.read_range(found, limit)

    def rows(self, after: Bound | None, end: Bound | None) -> dict[TargetRow, TargetRow]:
        """The rows of a range, by key."""
        with translated(f"read {self._name}"):
            found = self._conn.execute(
                self.table.rows_query(after, end), binary=True, prepare=False
            )
            return self._by_key(found)

    @contextmanager
    def asking(self, keys: Sequence[Key]) -> Iterator[Callable[[], dict[TargetRow, TargetRow]]]:
        """Have the rows of these keys looked up during the block; within it, what is handed out
        waits for them: rows by key.
        """
        query, arrays = self.table.keys_query(keys)
        with translated(f"read rows of {self._name}"), self._conn.pipeline():
            cursor = self._conn.execute(query, arrays, binary=True, prepare=False)
            yield lambda: self._by_key(cursor)

    def rows_of(self, keys: Sequence[Key]) -> dict[TargetRow, TargetRow]:
        """The rows of these keys, by key."""
        with self.asking(keys) as answer:
            return answer()

    def all_rows(self) -> Iterator[list[TargetRow]]:
        """All rows, in any order, some at a time."""
        with (
            translated(f"read {self._name}"),
            self._conn.cursor(name="cdc_proof", binary=True) as cursor,
        ):
            cursor.execute(self.table.all_query())
            while found := cursor.fetchmany(ROWS_AT_ONCE):
                yield list(self.table.rows(found))

    def queued(self) -> bool:
        """Whether anything that was written to the table has yet to be brought back."""
        found = self._conn.execute(
            "SELECT FROM cdc.queue WHERE source = %s AND name = %s LIMIT 1",
            (self.table.source, self.table.mapped.source.name),
        ).fetchone()
        return found is not None

    def quarantined(self) -> frozenset[Key]:
        """The keys in the table's quarantine."""
        name = self.table.mapped.source.name
        query = sql.SQL("SELECT key FROM {} WHERE source = %s AND name = %s").format(
            self.table.quarantine
        )
        rows = self._conn.execute(query.as_bytes(self._conn), (self.table.source, name))
        return frozenset(load_key(key) for (key,) in rows)

    def _by_key(self, found: Any) -> dict[TargetRow, TargetRow]:
        rows = self.table.rows(found.fetchall())
        return {self.table.key_of(row): row for row in rows}

    @property
    def _name(self) -> str:
        return f"{self.table.mapped.schema}.{self.table.mapped.name}"


@contextmanager
def snapshot(conn: Connection, table: ProvenTable) -> Iterator[Snapshot]:
    """A snapshot of a table, open for the length of the block."""
    with translated(f"read {table.mapped.schema}.{table.mapped.name}"), conn.transaction():
        # A table that is emptied between a snapshot and the first look at it would read as empty.
        conn.execute(
            sql.SQL(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                " LOCK TABLE {} IN ACCESS SHARE MODE"
            ).format(table.table)
        )
        yield Snapshot(conn, table)


def _standing(conn: Connection, table: ProvenTable) -> Standing:
    name = table.mapped.source.name
    found = conn.execute(
        load_sql("postgres/proof_standing.sql").encode(), (table.source, name)
    ).fetchone()
    if found is None:
        raise TargetRefused(f"table {name} of {table.source} is not in the target any more")
    position, log_id, copy, copied_at, epoch, guarded, gate_open, aside, last_aside = found
    if gate_open is not table.written:
        raise GateMoved(
            "the gate was opened: PostgreSQL takes the writes now"
            if gate_open
            else "the gate was closed: PostgreSQL takes no writes any more",
            hint="Begin anew: a proof goes in the direction in which changes flow.",
        )
    return Standing(
        position, log_id, copy, copied_at, epoch, guarded, quarantine=(aside, last_aside)
    )
