"""One transaction of one source: rows, quarantine, position and boundary together, or nothing.

The transaction begins with `cdc.enter()` (`triggers/postgres/guard.sql`), which locks the position
and compares it with the one that the batch starts from. So a batch whose COMMIT got no answer is
never guessed at: the caller reads the position again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8

from cdc.errors import TargetRefused, UniqueConflict, ValueDoesNotFit
from cdc.mapping.table import MappedTable
from cdc.postgres.changes import Advance, Aside, Changes, Chunk, Prepared, TableChanges
from cdc.postgres.connection import Connection
from cdc.postgres.keys import dump_key
from cdc.postgres.preparation import ChunkPacking, Preparation, naming_misfits
from cdc.postgres.quarantine import Quarantine
from cdc.postgres.sifting import ROW_ERRORS, Sifting, send
from cdc.postgres.translate import reason, translated
from cdc.postgres.wire import Packed
from cdc.postgres.writer import GO_BY_INDEX, TableWriter
from cdc.schema import Key, Row

__all__ = ["BULK_ROWS", "Advance", "Applier", "Changes", "Chunk", "TableChanges"]

BULK_ROWS: Final = 1000
"""From so many changes of a table on, COPY is faster than arrays of parameters."""

_BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

_ENTER: Final = (
    b"SELECT cdc.enter($1, $2, $3), set_config('synchronous_commit', $4, true), " + GO_BY_INDEX
)
_ADVANCE: Final = (
    b"UPDATE cdc.source SET applied_seq = $2, applied_digest = $3,"
    b" applied_at = coalesce($4::float8, applied_at), updated_at = clock_timestamp()"
    b" WHERE name = $1"
)
_BOUNDARY: Final = (
    b"INSERT INTO cdc.boundary (source, seq, at) VALUES ($1, $2, $3::float8)"
    b" ON CONFLICT (source, seq) DO NOTHING"
)
_UNPROVEN: Final = b"INSERT INTO cdc.unproven (source, name, key) VALUES ($1, $2, $3)"
_PROGRESS: Final = (
    b"UPDATE cdc.captured_table SET last_key = $3::text, copied_rows = copied_rows + $4,"
    b" state = $5, updated_at = clock_timestamp() WHERE source = $1 AND name = $2"
)


class Applier:
    """Applies the transactions of one source. Not for two threads at once.

    `synchronous_commit`: whether a COMMIT waits for the disk of the server. Without it a crash of
    the *server* can take back its last half second or so, position and rows alike, and those events
    are applied again: the source must still have them. `bulk_rows` is where COPY begins. Without a
    `quarantine` every row that does not fit is refused.
    """

    def __init__(
        self,
        *,
        synchronous_commit: bool = False,
        bulk_rows: int = BULK_ROWS,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._synchronous_commit = "on" if synchronous_commit else "off"
        self._quarantine = quarantine or Quarantine("", takes_all=False)
        self._preparation = Preparation(self._quarantine, bulk_rows)
        self._writer = self._preparation.writer

    def begin_packing(self, table: MappedTable) -> ChunkPacking:
        """Begin to make the rows of a chunk ready to be sent. Needs no connection.

        This and `prepare` may be used in a thread of their own, beside `apply`.
        """
        return self._preparation.begin_packing(table)

    def prepare(self, changes: Changes, *, careful: bool = False, clear: bool = False) -> Prepared:
        """Make the changes of a batch ready to be sent; raises Misfit. Needs no connection.

        `clear`: all rows that are written anew are deleted first, so that they may swap values.
        """
        return self._preparation.prepare(changes, careful=careful, clear=clear)

    def apply(
        self,
        conn: Connection,
        advance: Advance,
        changes: Changes,
        chunk: Chunk | None = None,
        *,
        careful: bool = False,
    ) -> Sequence[Aside]:
        """Write changes, then the chunk, and advance the position, in one transaction.

        Returns the rows that were set aside.

        What was not made ready to be sent before is so now. After a ValueDoesNotFit, the same
        changes and chunk, read again and not made ready, can be applied with `careful`: then the
        rows that the server refuses are found one by one, and go into the quarantine, too.

        After a UniqueConflict the same changes, prepared with `clear`, may go: values were swapped.
        Raises PositionMoved; UniqueConflict; Misfit or ValueDoesNotFit; TargetUnavailable, after
        which the batch may or may not have been committed; TargetRefused.
        """
        ready = self.prepare(changes, careful=careful)
        action = f"apply {advance.source} {advance.from_seq}…{advance.to_seq}"
        few = [(table, each) for table, each in ready if not isinstance(each.rows, Packed)]
        kept = [(table, each.fit) for table, each in few if each.fit is not None]
        with translated(action), _naming_refusals(), naming_misfits(kept), _abandoned(conn):
            write = self._apply_carefully if careful else self._apply
            return write(conn, advance, ready, chunk)

    def _apply(
        self,
        conn: Connection,
        advance: Advance,
        ready: Prepared,
        chunk: Chunk | None,
    ) -> Sequence[Aside]:
        healed, asides = self._fate(ready)
        many = [(table, each) for table, each in ready if isinstance(each.rows, Packed)]
        with conn.pipeline():
            self._begin(conn, advance)
            for table, each in ready:
                if not isinstance(each.rows, Packed):
                    send(conn, self._writer(table), each)
            if not (many or chunk or healed or asides):
                self._finish(conn, advance)
                return ()
        for table, each in many:
            send(conn, self._writer(table), each)
        if chunk is not None:
            self._write_chunk(conn, chunk, self._packed(chunk.table, chunk.rows))
            self._record_progress(conn, advance.source, chunk, len(chunk.rows))
        self._quarantine.record(conn, healed, asides)
        with conn.pipeline():
            self._finish(conn, advance)
        self._quarantine.committed(healed, asides)
        return asides

    def _apply_carefully(
        self,
        conn: Connection,
        advance: Advance,
        ready: Prepared,
        chunk: Chunk | None,
    ) -> Sequence[Aside]:
        self._begin(conn, advance)
        refused = [
            (table, replace(each, aside=[*each.aside, *self._sifting(conn, table).changes(each)]))
            for table, each in ready
        ]
        healed, asides = self._fate(refused)
        if chunk is not None:
            asides += self._write_chunk_carefully(conn, advance, chunk)
        self._quarantine.record(conn, healed, asides)
        self._finish(conn, advance)
        self._quarantine.committed(healed, asides)
        return asides

    def _write_chunk_carefully(
        self, conn: Connection, advance: Advance, chunk: Chunk
    ) -> list[Aside]:
        rows = list(chunk.rows) if isinstance(chunk.rows, list) else []
        seqs = [advance.to_seq] * len(rows)
        fit, fit_seqs, asides = self._preparation.part_rows(chunk.table, rows, seqs)
        packed = self._packed(chunk.table, fit)
        try:
            with conn.transaction():
                self._write_chunk(conn, chunk, packed)
        except ROW_ERRORS:
            if not chunk.fresh:
                writer = self._writer(chunk.table)
                writer.stage(conn, packed)
                _delete_unstaged(conn, writer, chunk)
            asides += self._sifting(conn, chunk.table).rows(fit, fit_seqs)
        self._record_progress(conn, advance.source, chunk, len(rows) - len(asides))
        return asides

    def _sifting(self, conn: Connection, table: MappedTable) -> Sifting:
        return Sifting(conn, self._writer(table), self._quarantine)

    def _fate(self, ready: Prepared) -> tuple[list[tuple[str, Key]], list[Aside]]:
        """The keys that leave the quarantine, each with its table, and the rows that enter it."""
        healed = [
            (table.source.name, key)
            for table, each in ready
            if each.suspects
            for key in self._quarantine.healed(table, each.suspects, each.aside)
        ]
        return healed, [aside for _, each in ready for aside in each.aside]

    def _begin(self, conn: Connection, advance: Advance) -> None:
        conn.execute(_BEGIN)
        RawCursor(conn).execute(
            _ENTER,
            (
                advance.source,
                Int8(advance.from_seq),
                Int8(advance.epoch),
                self._synchronous_commit,
            ),
            prepare=True,
        )

    def _finish(self, conn: Connection, advance: Advance) -> None:
        position = (advance.source, Int8(advance.to_seq), advance.digest, advance.at)
        RawCursor(conn).execute(_ADVANCE, position, prepare=True)
        if advance.boundary:
            boundary = (advance.source, Int8(advance.to_seq), advance.at)
            RawCursor(conn).execute(_BOUNDARY, boundary, prepare=True)
        for name, key in advance.rewritten:
            RawCursor(conn).execute(_UNPROVEN, (advance.source, name, dump_key(key)), prepare=True)
        conn.execute(b"COMMIT")

    def _write_chunk(self, conn: Connection, chunk: Chunk, rows: Packed) -> None:
        writer = self._writer(chunk.table)
        if not (chunk.fresh and _copy_fresh(conn, writer, rows)):
            writer.stage(conn, rows)
            _delete_unstaged(conn, writer, chunk)
            writer.merge_stage(conn)

    def _packed(self, table: MappedTable, rows: Packed | Sequence[Row]) -> Packed:
        if isinstance(rows, Packed):
            return rows
        packing = self.begin_packing(table)
        packing.add(list(rows))
        return packing.end()

    def _record_progress(self, conn: Connection, source: str, chunk: Chunk, copied: int) -> None:
        last_key = None if chunk.last_key is None else dump_key(chunk.last_key)
        state = "live" if chunk.last else "copying"
        name = chunk.table.source.name
        cursor = RawCursor(conn).execute(_PROGRESS, (source, name, last_key, Int8(copied), state))
        if cursor.rowcount != 1:
            raise TargetRefused(f"the target has no table for {name!r} of source {source!r}")


def _delete_unstaged(conn: Connection, writer: TableWriter, chunk: Chunk) -> None:
    if not chunk.fresh and not chunk.more:
        writer.delete_unstaged(conn, chunk.after_key, chunk.last_key)


def _copy_fresh(conn: Connection, writer: TableWriter, rows: Packed) -> bool:
    """Copy straight into the table; False, and nothing written, where rows are there already."""
    try:
        with conn.transaction():  # a savepoint: the caller has begun
            writer.copy(conn, rows)
    except psycopg.errors.UniqueViolation:
        return False
    return True


@contextmanager
def _abandoned(conn: Connection) -> Iterator[None]:
    """Roll back what an error or an interrupt leaves open; a connection that cannot is closed."""
    try:
        yield
    except BaseException:
        try:
            if conn.info.transaction_status != TransactionStatus.IDLE:
                conn.rollback()
        except psycopg.Error:
            conn.close()  # the first error is the one that is raised
        raise


@contextmanager
def _naming_refusals() -> Iterator[None]:
    """Raise a ValueDoesNotFit where the server refuses a row that no dumper minded."""
    try:
        yield
    except psycopg.errors.UniqueViolation as exc:
        raise UniqueConflict(
            f"rows are not apart: {reason(exc)}",
            index=exc.diag.constraint_name or "",
            hint="drop the index, or exclude the table; cdc drops only what it has made itself",
        ) from exc
    except ROW_ERRORS as exc:
        raise ValueDoesNotFit(
            f"a row does not fit: {reason(exc)}",
            hint="shorten the value in SQLite, set it aside by on_error = "
            '"quarantine" in [replication], or exclude the table',
        ) from exc
