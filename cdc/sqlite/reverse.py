"""Batches of rows from PostgreSQL, each written in one transaction of the file.

A value is written only where the one that stands there does not say the same, so nobody's untouched
digits are rounded. What was written is read back, and has to say what it should: SQLite's column
affinities, or what a mapping cannot express, would alter it without a word otherwise. What a
generated column holds is SQLite's own business.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.errors import DirectionChanged, SchemaMoved, SourceError
from cdc.schema import Key, Row, Value
from cdc.sqlite import direction
from cdc.sqlite.captures import Captured
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.direction import Direction
from cdc.sqlite.incoming import Incoming, IncomingTable, Refused
from cdc.sqlite.moves import application_schema
from cdc.sqlite.rowwriter import RowWriter, exact

ROW_ERRORS: Final = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError)
"""What SQLite says of a row that it does not take."""


class RowsInTheWay(SourceError):
    """A row needs values that another one has, which may yet give them up: take more rows along."""


@dataclass(slots=True)
class _Change:
    """A row that has to be written: `before` as it stands, and `wanted`, by position, all that is
    known of the new one; None where it goes. `written` are the columns that differ.
    """

    incoming: Incoming
    before: Row | None
    wanted: Mapping[int, Value] | None
    written: Mapping[int, Value]

    @property
    def key(self) -> Key:
        return self.incoming.key


class ReverseWriter:
    """Writes batches to one file, opened `without_triggers`. For one thread.

    `captured` are the tables, as they were found in the file under its present schema.
    """

    def __init__(self, file: SourceFile, captured: Iterable[Captured]) -> None:
        self._file = file
        self._tables = {each.name: RowWriter(file, each) for each in captured}
        with file.reading():
            self._schema = application_schema(file)

    def stand(self) -> Direction:
        """How far the file is. To be asked before the batch is read on the other side, and handed
        to `write`. Raises DirectionChanged where the file takes no rows from there.
        """
        with self._file.reading():
            found = direction.read(self._file)
        if found is None:
            raise DirectionChanged(f"{self._file.path} takes no rows from PostgreSQL (any more).")
        return found

    def write(
        self,
        stand: Direction,
        batch: Sequence[IncomingTable],
        *,
        final: bool,
        wait: Wait = time.sleep,
    ) -> list[Refused]:
        """Write one batch and count it, in one transaction; what SQLite did not take.

        `final` says that nothing else waits on the other side: then a row that is in the way of
        another one stays there. Otherwise RowsInTheWay is raised, and nothing written. Raises
        DirectionChanged where another batch was written since `stand`, or the direction turned;
        SchemaMoved; SourceBusy.
        """
        return self._file.write(lambda: self.write_within(stand, batch, final=final), wait=wait)

    def write_within(
        self, stand: Direction, batch: Sequence[IncomingTable], *, final: bool
    ) -> list[Refused]:
        """The same in a write transaction of the caller's."""
        if application_schema(self._file) != self._schema:
            raise SchemaMoved(f"The schema of {self._file.path} changed.")
        if direction.read(self._file) != stand:
            raise DirectionChanged(
                f"{self._file.path} is not where this batch was to go on from: somebody else has"
                " written one, or the direction has turned."
            )
        refused = [
            each
            for table in batch
            for each in _TableBatch(self._file, self._tables[table.table], table).write(final=final)
        ]
        direction.count_batch(self._file)
        return refused


class _TableBatch:
    """The rows of one table in one batch."""

    def __init__(self, file: SourceFile, writer: RowWriter, incoming: IncomingTable) -> None:
        self._file = file
        self._writer = writer
        self._table = incoming.table
        self._incoming = incoming

    def write(self, *, final: bool) -> list[Refused]:
        changes = list(self._changes())
        try:
            self._in_savepoint(self._directly, changes)
            refused: list[Refused] = []
        except ROW_ERRORS:
            refused = self._untangled(changes, final=final)
        out = {each.name for each in refused}
        for change in changes:
            refused_already = change.incoming.name in out
            after = None if refused_already else self._writer.row(change.key)
            fault = None if after is None else _fault(change, after)
            if after is None and change.wanted is not None and not refused_already:
                refused.append(Refused(self._table, change.incoming.name, None, _DROPPED))
            if fault is not None:
                # What has no faithful form has no row, as on the way forward.
                self._writer.delete(change.key)
                refused.append(Refused(self._table, change.incoming.name, fault, _ALTERED))
                after = None
            self._writer.record(change.key, change.before, after)
        return refused

    def _changes(self) -> Iterator[_Change]:
        for incoming in self._all_incoming():
            before = self._writer.row(incoming.key)
            if incoming.values is None:
                if before is not None:
                    yield _Change(incoming, before, None, {})
                continue
            wanted = {i: v for i, v in incoming.values.items() if self._writer.takes(i)}
            if before is None or incoming.whole:
                yield _Change(incoming, before, wanted, wanted)
                continue
            written = {i: v for i, v in wanted.items() if not incoming.agrees(i, before[i])}
            kept = {i: before[i] for i in self._writer.writable}
            if written:
                yield _Change(incoming, before, kept | written, written)

    def _all_incoming(self) -> Iterator[Incoming]:
        yield from self._incoming.rows
        if self._incoming.all_there_is:
            there = {exact(row.key) for row in self._incoming.rows}
            for key in self._writer.all_keys():
                if exact(key) not in there:
                    yield Incoming("", key, None, _nothing_agrees, whole=True)

    def _in_savepoint(
        self, work: Callable[[Sequence[_Change]], None], changes: Sequence[_Change]
    ) -> None:
        self._file.query("SAVEPOINT _cdc_rows")
        try:
            work(changes)
        except ROW_ERRORS:
            self._file.query("ROLLBACK TO _cdc_rows")
            raise
        finally:
            self._file.query("RELEASE _cdc_rows")

    def _directly(self, changes: Sequence[_Change]) -> None:
        for change in changes:
            if change.before is not None and (change.wanted is None or change.incoming.whole):
                self._writer.delete(change.key)
        for change in changes:
            if change.wanted is None:
                continue
            if change.before is None or change.incoming.whole:
                self._writer.insert(change.wanted)
            elif change.written:
                self._writer.update(change.key, change.written)

    def _untangled(self, changes: Sequence[_Change], *, final: bool) -> list[Refused]:
        """Take all these rows out first, so that they may swap values; then add them anew."""
        rowids = {
            change.key: self._writer.rowid(change.key)
            for change in changes
            if change.before is not None
        }
        for change in changes:
            if change.before is not None:
                self._writer.delete(change.key)
        refused = []
        for change in changes:
            if change.wanted is None:
                continue
            rowid = None if change.incoming.whole else rowids.get(change.key)
            try:
                self._writer.insert(change.wanted, rowid)
            except ROW_ERRORS as error:
                if not final:
                    raise RowsInTheWay(f"{self._table}: {error}.") from error
                refused.append(Refused(self._table, change.incoming.name, None, str(error)))
        return refused


_DROPPED: Final = "SQLite did not keep the row"
_ALTERED: Final = "SQLite would hold another value than PostgreSQL"


def _fault(change: _Change, row: Row) -> int | None:
    """The position of the first value that does not say what the other side does."""
    known = change.incoming.values or {}
    return next(
        (i for i in change.wanted or {} if i in known and not change.incoming.agrees(i, row[i])),
        None,
    )


def _nothing_agrees(_: int, __: Value) -> bool:
    return False
