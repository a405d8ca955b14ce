"""One source's way to PostgreSQL: copy what is there, then follow what changes.

One loop does both, so a chunk of the copy is exact without watermarks: it is read together with
the log's end S, the log is applied up to S, and the chunk is written in the same transaction.
"""

import logging
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from cdc.ahead import Ahead, ReadAhead
from cdc.config import ReplicationConfig
from cdc.crossing.references import Reference
from cdc.errors import CdcError, SourceBusy, UniqueConflict, ValueDoesNotFit
from cdc.logs import fields
from cdc.pipeline.backlog import NO_BATCH, Backlog, Batch, BatchReader
from cdc.pipeline.constraints import SourceConstraints
from cdc.pipeline.copying import CopyReader, Piece
from cdc.pipeline.late_keys import LateKeys
from cdc.pipeline.progress import SourceProgress, SourceState, TableProgress
from cdc.pipeline.session import Session
from cdc.pipeline.tables import ReplicatedTable
from cdc.postgres import quarantine, tables
from cdc.postgres.apply import Advance, Applier, Chunk, TableChanges
from cdc.postgres.changes import Aside
from cdc.postgres.connection import Target
from cdc.postgres.misfit import show_key
from cdc.postgres.preparation import holdable
from cdc.schema import Key
from cdc.sqlite.log import Position
from cdc.sqlite.lookup import Lookup

log = logging.getLogger(__name__)

BOUNDARY_SECONDS: Final = 1.0
"""At most one committed boundary a second is recorded, and the one that a quiet source rests at."""

PIECES_AHEAD: Final = 2
"""Pieces of a copy that are read, or being read, while one is written: with one alone the reader
would wait for each that takes the server longer than usual."""

REWRITTEN_AT_ONCE: Final = 100
"""Rows that are read again in one short transaction of the file."""


class Replication:
    """The replication of one open session, step by step. For one thread."""

    def __init__(
        self,
        name: str,
        session: Session,
        target: Target,
        settings: ReplicationConfig,
        progress: SourceProgress,
        *,
        synchronous_commit: bool,
        references: Sequence[Reference] = (),
    ) -> None:
        self._name = name
        self._session = session
        self._target = target
        self._progress = progress
        with target.lease() as conn:
            known = quarantine.read_keys(conn, name)
            keyless = tables.without_key(conn, name)
        self._quarantine = quarantine.Quarantine(
            name,
            known,
            takes_all=settings.on_error == "quarantine",
            most=settings.max_quarantined,
        )
        self._applier = Applier(synchronous_commit=synchronous_commit, quarantine=self._quarantine)
        self._lock_bound = settings.lock_bound_ms / 1000 / 2
        backlog = Backlog(session, progress, self._lock_bound, settings.batch_events)
        self._batches = BatchReader(session, self._applier, backlog)
        self._ahead: ReadAhead[Batch] = ReadAhead()
        self._keys = LateKeys(name, target, keyless)
        self._careful: ReplicatedTable | None = None
        """The table whose copy goes on carefully, to its end: where one row did not fit, others may
        follow."""
        self._copies = self._copy_all()
        self._constraints = SourceConstraints(name, session.tables, target, references)
        self._completed = False
        self._unrecorded = False
        self._next_boundary = 0.0
        progress.captured_seq = max(progress.captured_seq, session.position.seq)
        progress.applied_seq = session.position.seq
        progress.stopped = tuple(session.stops.errors)
        progress.tables = {
            t.name: TableProgress(copied=t.copied, done=t.live) for t in session.tables
        }

    def step(self) -> bool:
        """Do one piece of work, in one target transaction; False when there was nothing to do.

        Raises SourceBusy, after which the next step may do better; after any other error, such as
        SessionEnded and TargetError, the session is done for.
        """
        self._session.check_file()
        try:
            return next(self._copies, False) or self._tail()
        except SourceBusy:
            # The same session goes on later; a generator that has raised does not.
            self._copies = self._copy_all()
            raise

    def close(self) -> None:
        """Wait for reads under way and close the file."""
        self._copies.close()
        self._ahead.close()
        self._keys.close()
        self._session.close()

    @property
    def path(self) -> Path:
        """The source's file."""
        return self._session.file.path

    @property
    def copied(self) -> bool:
        """Whether all tables are; only then can quarantined rows be tried again."""
        return all(table.live for table in self._session.tables)

    def retry(self, keys: Mapping[str, Sequence[Key]]) -> int:
        """Apply the rows that these keys have now, by table; how many left the quarantine.

        As with a chunk, the log is applied up to the moment at which the rows were read.
        """
        self._ahead.forget()
        tables = [t for t in self._session.tables if t.name in keys]
        with self._quarantine.taking_back():
            return sum(self._retry_table(table, keys[table.name]) for table in tables)

    def _retry_table(self, table: ReplicatedTable, keys: Sequence[Key]) -> int:
        held = [key for key in keys if self._quarantine.holds(table.name, key)]
        self._rewrite(table, held)
        return sum(not self._quarantine.holds(table.name, key) for key in held)

    def rewrite(self, keys: Mapping[str, Sequence[Key]]) -> None:
        """Make the target's rows of these keys, by table, those that SQLite has now."""
        self._ahead.forget()
        for table in self._session.tables:
            self._rewrite(table, keys.get(table.name, ()))

    def set_aside(self, name: str, keys: Sequence[Key], position: int, reason: str) -> int:
        """Move the rows of these keys into the quarantine, whatever they hold; how many there are.

        `position` is that of the value at fault.
        """
        self._ahead.forget()
        table = next((each for each in self._session.tables if each.name == name), None)
        if table is None:
            raise CdcError(
                f"Table {name} is not replicated any more.", hint="See cdc status for the reason."
            )
        count = 0
        for at in range(0, len(keys), REWRITTEN_AT_ONCE):
            as_of, found = self._read_again(table, keys[at : at + REWRITTEN_AT_ONCE])
            self._catch_up(as_of)
            asides = [Aside(table.mapped, row, as_of, position, reason) for row in found.upserts]
            gone = [form for aside in asides for form in holdable(table.mapped, aside.key)]
            ((_, ready),) = self._applier.prepare([(table.mapped, TableChanges(deletes=gone))])
            changes = [(table.mapped, replace(ready, aside=asides))]
            batch = Batch(changes, None, complete=True, count=0, oldest_at=None)
            rewritten = [(name, aside.key) for aside in asides]
            self._apply(batch, boundary=False, rewritten=rewritten)
            count += len(asides)
        return count

    def _rewrite(self, table: ReplicatedTable, keys: Sequence[Key]) -> None:
        for at in range(0, len(keys), REWRITTEN_AT_ONCE):
            some = keys[at : at + REWRITTEN_AT_ONCE]
            as_of, changes = self._read_again(table, some)
            self._catch_up(as_of)
            rewritten = [(table.name, key) for key in some]
            try:
                self._apply_rows(table, changes, rewritten, clear=False)
            except UniqueConflict:  # they may have each other's values: first delete them all
                self._apply_rows(table, changes, rewritten, clear=True)

    def _apply_rows(
        self,
        table: ReplicatedTable,
        changes: TableChanges,
        rewritten: Sequence[tuple[str, Key]],
        *,
        clear: bool,
    ) -> None:
        prepared = self._applier.prepare([(table.mapped, changes)], careful=True, clear=clear)
        batch = Batch(prepared, None, complete=True, count=0, oldest_at=None)
        self._apply(batch, boundary=False, careful=True, rewritten=rewritten)

    def _catch_up(self, as_of: int) -> None:
        """Apply the log up to `as_of`."""
        complete = False
        while not complete:
            batch = self._batches.read(self._session.position, as_of, careful=True)
            self._apply(batch, boundary=False, careful=True)
            complete = batch.complete

    def _read_again(self, table: ReplicatedTable, keys: Sequence[Key]) -> tuple[int, TableChanges]:
        """The rows of these keys, and where the log ended when they were read."""
        lookup = Lookup(self._session.file, table.source)
        with self._session.reading():
            as_of = self._session.changelog.newest()
            rows = lookup.rows(keys)
        found = list(rows.values())
        gone = [key for key in dict.fromkeys(keys) if key not in rows]
        deletes = [form for key in gone for form in holdable(table.mapped, key)]
        return as_of, TableChanges(found, deletes, gone, seqs=lambda: [as_of] * len(found))

    def settle(self) -> None:
        """Record the committed boundary that the position stands at, if that is yet to be done."""
        if self._unrecorded:
            self._apply(NO_BATCH, boundary=True)

    def _tail(self) -> bool:
        if not self._completed:
            self._constraints.complete()
            self._completed = True
        if self._progress.state is not SourceState.TAILING:
            self._begin_tailing()
        batch = self._ahead.take()
        if batch is None or batch.end is None:  # what was read ahead may be out of date by now
            batch = self._batches.read(self._session.position)
        if batch.end is None:
            if time.monotonic() >= self._next_boundary:
                self.settle()
            self._constraints.look_again()
            return False
        if not batch.complete:
            self._ahead.start(partial(self._batches.read, batch.end))
        due = time.monotonic() >= self._next_boundary
        try:
            self._apply(batch, boundary=batch.complete and due)
        except ValueDoesNotFit:
            if not self._sets_aside():
                raise
            self._apply_carefully(batch.end.seq)
            return True
        except UniqueConflict as conflict:
            self._untangle(conflict)
            return True
        self._unrecorded = batch.complete and not due
        return True

    def _sets_aside(self) -> bool:
        return any(self._quarantine.takes_any(table.mapped) for table in self._session.tables)

    def _apply_carefully(self, up_to: int) -> None:
        """Apply events that the server has refused again, but for the rows at fault.

        They are read again: of many events only the packed form was there.
        """
        self._ahead.forget()
        batch = self._batches.read(self._session.position, up_to, careful=True)
        self._apply(batch, boundary=False, careful=True)

    def _untangle(self, conflict: UniqueConflict) -> None:
        """Apply events whose rows took each other's unique values.

        A batch writes its rows in another order than SQLite did, and may end inside a transaction:
        so first all rows that it touches are deleted, then it is extended to the end of the log.
        What is left is a difference in sense; the index goes, replication stays.
        """
        self._ahead.forget()
        for whole in (False, True):
            batch = self._batches.read(self._session.position, clear=True, whole=whole)
            if batch.end is None:
                break
            try:
                self._apply(batch, boundary=False, careful=self._sets_aside())
            except UniqueConflict as again:
                conflict = again
            else:
                return
        if not self._constraints.give_up(conflict.index, str(conflict)):
            raise conflict

    def _begin_tailing(self) -> None:
        self._progress.state = SourceState.TAILING
        log.info(
            "All %d tables are copied; following changes from event %d on.",
            len(self._session.tables),
            self._session.position.seq,
            extra=fields("tailing", source=self._name, seq=self._session.position.seq),
        )

    def _apply(
        self,
        batch: Batch,
        *,
        boundary: bool,
        chunk: Chunk | None = None,
        careful: bool = False,
        rewritten: Sequence[tuple[str, Key]] = (),
    ) -> None:
        """Commit a batch (which may be empty beside a chunk) and move the position behind it.

        `rewritten` are keys of rows that it writes without an event.
        """
        session = self._session
        end = batch.end or session.position
        advance = Advance(
            source=self._name,
            from_seq=session.position.seq,
            to_seq=end.seq,
            digest=end.digest,
            at=end.at,
            boundary=boundary,
            epoch=session.epoch,
            rewritten=rewritten,
        )
        for table, _ in batch.changes:
            self._keys.require(table)
        with self._target.lease() as conn:
            asides = self._applier.apply(conn, advance, batch.changes, chunk, careful=careful)
        if asides:
            _report(self._name, asides)
        session.position = Position(end.seq, end.digest, end.at)
        if boundary:
            self._unrecorded = False
            self._next_boundary = time.monotonic() + BOUNDARY_SECONDS
        self._progress.applied(end.seq, batch.count, batch.oldest_at)

    def _copy_all(self) -> Generator[bool, None, None]:
        """Copy what is not live yet; yields after each committed piece."""
        while missing := [table for table in self._session.tables if not table.live]:
            self._progress.state = SourceState.COPYING
            yield from self._copy(missing if self._careful is None else [self._careful])

    def _copy(self, tables: list[ReplicatedTable]) -> Generator[bool, None, None]:
        """Copy tables from where they stand, until all are live or have to be begun again."""
        careful = self._careful is not None
        reader = CopyReader(
            self._session,
            self._applier,
            self._batches,
            self._lock_bound,
            gets_late_key=self._gets_late_key,
            careful=careful,
        )
        pieces = reader.pieces(tables, self._progress.tables)
        # What is found not to fit only while it is written bears on what comes behind it.
        ahead = Ahead(pieces, 0 if careful else PIECES_AHEAD)
        writing: ReplicatedTable | None = None
        try:
            while (piece := ahead.take()) is not None:
                writing = piece.table
                self._write_piece(piece, careful=careful)
                writing = None
                yield True
            self._careful = None
        except ValueDoesNotFit:
            if careful or not self._sets_aside():
                raise
            self._careful = writing or reader.table
        except UniqueConflict as conflict:
            ahead.close()
            reader.close()
            self._untangle(conflict)
        finally:
            ahead.close()
            reader.close()

    def _write_piece(self, piece: Piece, *, careful: bool) -> None:
        """Commit a chunk together with the events that lead up to its moment."""
        table, copied = piece.table, piece.copied
        if copied is None:
            self._apply(piece.batch, boundary=False, careful=careful)
            return
        chunk = copied.chunk
        if chunk.last:
            self._keys.require(table.mapped)
        elif chunk.after_key is None and self._gets_late_key(table):
            self._keys.take_off(table.mapped)
        self._apply(piece.batch, boundary=False, chunk=chunk, careful=careful)
        table.copied += len(chunk.rows)
        table.place = copied.end.bound  # from where another session would go on
        table.live = chunk.last
        progress = self._progress.tables[table.name]
        progress.copied, progress.done = table.copied, table.live
        if copied.reached_end and not table.live:
            self._keys.begin(table.mapped)
        if table.live:
            log.info(
                "Copied table %s: %d rows.",
                table.name,
                table.copied,
                extra=fields("copied", source=self._name, table=table.name, rows=table.copied),
            )

    def _gets_late_key(self, table: ReplicatedTable) -> bool:
        """Whether the key of a table is built behind its rows."""
        if self._quarantine.takes_any(table.mapped) and not table.mapped.source.integer_key:
            # A key that is too long for the index has to be found while its row is at hand.
            return False
        return table.fresh and not table.adopted


def _report(source: str, asides: Sequence[Aside]) -> None:
    """Say of each table how many rows were set aside, and why the first one was."""
    tables = {aside.table.source.name: aside for aside in reversed(asides)}
    for name, first in tables.items():
        rows = sum(aside.table.source.name == name for aside in asides)
        log.warning(
            "Set aside %d rows of table %s; key %s: %s.",
            rows,
            name,
            show_key(first.key),
            first.reason,
            extra=fields("quarantined", source=source, table=name, rows=rows),
        )
