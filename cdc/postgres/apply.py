"""One transaction of one source: rows, position and boundary together, or nothing.

The transaction begins with `cdc.enter()` (`triggers/postgres/guard.sql`), which locks the position
and compares it with the one that the batch starts from. So a batch whose COMMIT got no answer is
never guessed at: the caller reads the position again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8

from cdc.errors import TargetRefused, ValueDoesNotFit
from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.keys import dump_key
from cdc.postgres.misfit import find_misfit
from cdc.postgres.translate import reason, translated
from cdc.postgres.wire import MISFIT_ERRORS, Packed, PackedArray, Packing
from cdc.postgres.writer import GO_BY_INDEX, TableWriter
from cdc.schema import Key, Row

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
_PROGRESS: Final = (
    b"UPDATE cdc.captured_table SET last_key = $3::text, copied_rows = copied_rows + $4,"
    b" state = $5, updated_at = clock_timestamp() WHERE source = $1 AND name = $2"
)


@dataclass(frozen=True, slots=True)
class Advance:
    """How a transaction moves the position of its source.

    `digest` is that of the event at `to_seq` and `at` its Julian day (None leaves the one before).
    `boundary` says that the source had no transaction open across `to_seq`. `epoch` is the gate's,
    as read when the applier started. `from_seq` and `to_seq` may be equal.
    """

    source: str
    from_seq: int
    to_seq: int
    digest: bytes | None
    at: float | None
    boundary: bool
    epoch: int


@dataclass(slots=True)
class TableChanges:
    """What a batch does to one table: at most one entry per key, whole rows in column order."""

    upserts: list[Row] = field(default_factory=list)
    deletes: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BulkChanges:
    """Many TableChanges, ready to be sent: `keys` of all rows that go or are written anew."""

    keys: Sequence[PackedArray]
    rows: Packed


Changes = Sequence[tuple[MappedTable, TableChanges | BulkChanges]]
"""The changes of a batch, table by table."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of one key range of a table, as they are in SQLite at the batch's `to_seq`.

    The range is (after_key, last_key]. `after_key` None is the beginning; `last_key` None is the
    end, and then the table goes live. `fresh`: the range may hold rows only because events ran
    ahead; otherwise it may hold anything, and what is not in `rows` is deleted.
    """

    table: MappedTable
    rows: Packed | list[Row]
    after_key: Key | None
    last_key: Key | None
    fresh: bool


class Applier:
    """Applies the transactions of one source. Not for two threads at once.

    `synchronous_commit`: whether a COMMIT waits for the disk of the server. Without it a crash of
    the *server* can take back its last half second or so, position and rows alike, and those events
    are applied again: the source must still have them. `bulk_rows` is where COPY begins.
    """

    def __init__(self, *, synchronous_commit: bool = False, bulk_rows: int = BULK_ROWS) -> None:
        self._synchronous_commit = "on" if synchronous_commit else "off"
        self._bulk_rows = bulk_rows
        self._writers: dict[tuple[str, str], TableWriter] = {}

    def begin_packing(self, table: MappedTable) -> "ChunkPacking":
        """Begin to make the rows of a chunk ready to be sent. Needs no connection.

        This and `prepare` may be used in a thread of their own, beside `apply`.
        """
        return ChunkPacking(table, self._writer(table).begin_packing())

    def prepare(self, changes: Changes) -> Changes:
        """Make the changes of a batch ready to be sent; raises Misfit. Needs no connection."""
        return [(table, self._prepare(table, each)) for table, each in changes]

    def _prepare(
        self, table: MappedTable, changes: TableChanges | BulkChanges
    ) -> TableChanges | BulkChanges:
        if isinstance(changes, BulkChanges):
            return changes
        if len(changes.upserts) + len(changes.deletes) < self._bulk_rows:
            return changes
        writer = self._writer(table)
        with translated(f"pack rows of {table.name}"), _naming_misfits([(table, changes)]):
            written = zip(*(map(itemgetter(i), changes.upserts) for i in table.key), strict=True)
            keys = writer.pack_keys([*written, *changes.deletes])
            packing = writer.begin_packing()
            packing.add(changes.upserts)
            return BulkChanges(keys, packing.end())

    def apply(
        self,
        conn: Connection,
        advance: Advance,
        changes: Changes,
        chunk: Chunk | None = None,
    ) -> None:
        """Write changes, then the chunk, and advance the position, in one transaction.

        What was not made ready to be sent before is so now.
        Raises PositionMoved; Misfit or ValueDoesNotFit; TargetUnavailable, after which the batch
        may or may not have been committed; TargetRefused.
        """
        ready = self.prepare(changes)
        few = [(table, each) for table, each in ready if isinstance(each, TableChanges)]
        many = [(table, each) for table, each in ready if isinstance(each, BulkChanges)]
        action = f"apply {advance.source} {advance.from_seq}…{advance.to_seq}"
        with translated(action), _naming_misfits(few), _abandoned_on_error(conn):
            with conn.pipeline():
                self._begin(conn, advance)
                for table, each in few:
                    self._write_few(conn, table, each)
                if not many and chunk is None:
                    self._finish(conn, advance)
                    return
            for table, bulk in many:
                self._writer(table).replace(conn, bulk.keys, bulk.rows)
            if chunk is not None:
                self._write_chunk(conn, advance.source, chunk)
            with conn.pipeline():
                self._finish(conn, advance)

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
        conn.execute(b"COMMIT")

    def _write_few(self, conn: Connection, table: MappedTable, changes: TableChanges) -> None:
        writer = self._writer(table)
        if changes.deletes:
            writer.delete(conn, changes.deletes)
        if changes.upserts:
            writer.upsert(conn, changes.upserts)

    def _write_chunk(self, conn: Connection, source: str, chunk: Chunk) -> None:
        writer = self._writer(chunk.table)
        rows = self._packed(chunk)
        if not (chunk.fresh and _copy_fresh(conn, writer, rows)):
            writer.stage(conn, rows)
            if not chunk.fresh:
                writer.delete_unstaged(conn, chunk.after_key, chunk.last_key)
            writer.merge_stage(conn)
        self._record_progress(conn, source, chunk)

    def _packed(self, chunk: Chunk) -> Packed:
        if isinstance(chunk.rows, Packed):
            return chunk.rows
        packing = self.begin_packing(chunk.table)
        packing.add(chunk.rows)
        return packing.end()

    def _record_progress(self, conn: Connection, source: str, chunk: Chunk) -> None:
        last_key = None if chunk.last_key is None else dump_key(chunk.last_key)
        state = "live" if chunk.last_key is None else "copying"
        name = chunk.table.source.name
        cursor = RawCursor(conn).execute(
            _PROGRESS, (source, name, last_key, Int8(len(chunk.rows)), state)
        )
        if cursor.rowcount != 1:
            raise TargetRefused(f"the target has no table for {name!r} of source {source!r}")

    def _writer(self, table: MappedTable) -> TableWriter:
        known = self._writers.get((table.schema, table.name))
        if known is None or (known.table is not table and known.table != table):
            known = self._writers[table.schema, table.name] = TableWriter(table)
        return known


class ChunkPacking:
    """The rows of a chunk on their way to being Packed."""

    def __init__(self, table: MappedTable, packing: Packing) -> None:
        self._table = table
        self._packing = packing

    def add(self, rows: list[Row]) -> None:
        """Pack these rows, too; raises Misfit."""
        work = [(self._table, TableChanges(rows))]
        with translated(f"pack rows of {self._table.name}"), _naming_misfits(work):
            self._packing.add(rows)

    def end(self) -> Packed:
        """All rows, packed."""
        return self._packing.end()


def _copy_fresh(conn: Connection, writer: TableWriter, rows: Packed) -> bool:
    """Copy straight into the table; False, and nothing written, where rows are there already."""
    try:
        with conn.transaction():  # a savepoint: the caller has begun
            writer.copy(conn, rows)
    except psycopg.errors.UniqueViolation:
        return False
    return True


@contextmanager
def _abandoned_on_error(conn: Connection) -> Iterator[None]:
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
def _naming_misfits(work: Sequence[tuple[MappedTable, TableChanges]]) -> Iterator[None]:
    """Raise a Misfit in place of an error that one value has caused."""
    try:
        yield
    except (*MISFIT_ERRORS, psycopg.DataError, psycopg.errors.NotNullViolation) as exc:
        for table, changes in work:
            if misfit := find_misfit(table, changes.upserts, changes.deletes):
                raise misfit from exc
        raise
    except psycopg.errors.ProgramLimitExceeded as exc:
        # A key that is too long for an index entry, or a row too long for a page.
        raise ValueDoesNotFit(
            f"a row does not fit: {reason(exc)}",
            hint="shorten the value in SQLite, quarantine the row, or exclude the table",
        ) from exc
