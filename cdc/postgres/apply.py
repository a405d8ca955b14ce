"""One transaction of one source: rows, quarantine, position and boundary together, or nothing.

The transaction begins with `cdc.enter()` (`triggers/postgres/guard.sql`), which locks the position
and compares it with the one that the batch starts from. So a batch whose COMMIT got no answer is
never guessed at: the caller reads the position again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from cdc.errors import UniqueConflict, ValueDoesNotFit
from cdc.mapping.table import MappedTable
from cdc.postgres.changes import Advance, Aside, Changes, Chunk, Prepared, TableChanges
from cdc.postgres.connection import Connection
from cdc.postgres.ledger import Ledger, TargetLedger
from cdc.postgres.preparation import ChunkPacking, Preparation, naming_misfits
from cdc.postgres.quarantine import Quarantine
from cdc.postgres.sifting import ROW_ERRORS, Sifting, send
from cdc.postgres.translate import reason, translated
from cdc.postgres.wire import Packed
from cdc.postgres.writer import TableWriter
from cdc.schema import Key, Row

__all__ = ["BULK_ROWS", "Advance", "Applier", "Changes", "Chunk", "TableChanges"]

BULK_ROWS: Final = 1000
"""From so many changes of a table on, COPY is faster than arrays of parameters."""


class Applier:
    """Applies the transactions of one source. Not for two threads at once.

    `ledger` keeps the position; without one it is the target's own, in the schema cdc.
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
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger or TargetLedger(synchronous_commit=synchronous_commit)
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

    def prepare_many(
        self, parts: Iterable[Sequence[tuple[MappedTable, TableChanges]]]
    ) -> Prepared | None:
        """As `prepare`, of many changes that come in parts, no key in two of them: what they are
        made from need not be there all at once. None where only `prepare` can tell what becomes of
        them.
        """
        return self._preparation.prepare_many(parts)

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
        written = [table for table, _ in ready] + ([chunk.table] if chunk else [])
        with translated(action), _naming_refusals(written), naming_misfits(kept), _abandoned(conn):
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
            self._ledger.begin(conn, advance)
            for table, each in ready:
                if not isinstance(each.rows, Packed):
                    send(conn, self._writer(table), each)
            if not (many or chunk or healed or asides):
                self._ledger.finish(conn, advance)
                return ()
        for table, each in many:
            send(conn, self._writer(table), each)
        if chunk is not None:
            self._write_chunk(conn, chunk, self._packed(chunk.table, chunk.rows))
            self._ledger.copied(conn, advance.source, chunk, len(chunk.rows))
        self._quarantine.record(conn, healed, asides)
        with conn.pipeline():
            self._ledger.finish(conn, advance)
        self._quarantine.committed(healed, asides)
        return asides

    def _apply_carefully(
        self,
        conn: Connection,
        advance: Advance,
        ready: Prepared,
        chunk: Chunk | None,
    ) -> Sequence[Aside]:
        self._ledger.begin(conn, advance)
        refused = [
            (table, replace(each, aside=[*each.aside, *self._sifting(conn, table).changes(each)]))
            for table, each in ready
        ]
        healed, asides = self._fate(refused)
        if chunk is not None:
            asides += self._write_chunk_carefully(conn, advance, chunk)
        self._quarantine.record(conn, healed, asides)
        self._ledger.finish(conn, advance)
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
        self._ledger.copied(conn, advance.source, chunk, len(rows) - len(asides))
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
def _naming_refusals(written: Sequence[MappedTable]) -> Iterator[None]:
    """Raise a ValueDoesNotFit where the server refuses a row that no dumper minded: it does not say
    which, so that it can only be one of the tables that were written.
    """
    try:
        yield
    except psycopg.errors.UniqueViolation as exc:
        raise UniqueConflict(
            f"rows are not apart: {reason(exc)}",
            index=exc.diag.constraint_name or "",
            hint="drop the index, or exclude the table; cdc drops only what it has made itself",
        ) from exc
    except ROW_ERRORS as exc:
        names = " or ".join(dict.fromkeys(f"{each.schema}.{each.name}" for each in written))
        raise ValueDoesNotFit(
            f"a row of {names} does not fit: {reason(exc)}",
            hint="shorten the value in SQLite, set it aside by on_error = "
            '"quarantine" in [replication], or exclude the table',
        ) from exc
