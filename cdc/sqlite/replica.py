"""A whole, consistent copy of a live file, made in short reads while the application writes.

A chunk of a table is read together with the end of the log, S; the log is applied up to S, and the
chunk is added: so all rows in the copy are of one moment, which moves along. It ends at an S of
which the copy is exact. SQLite's backup API would hold the lock for as long as it copies, or begin
again with each commit.

What the copy is at S, and what it is not:

- Every captured table is exactly what the application had committed when the log ended at S, each
  value bit for bit. Rowids that are neither a column nor the only key are kept where a row was met
  under them; rows that came by an event, or were moved meanwhile, go behind all others, in order.
- Tables that are not captured, sqlite_sequence, what ANALYZE has gathered, and captured tables with
  rows whose key is NULL, are read in one moment with S, if the lock bound allows for that. Larger
  ones are of one moment of their own, between two passes that found the same. One that never stood
  still for so long is named `unsettled`: each part of it is as it was when it was read.
- The schema has the same objects, texts and order; page size, encoding, application_id,
  user_version and schema_version are the same. The journal mode is the default one.
- With the capture, all that belongs to it comes along, and of the log the events from a given one
  on: a target at that position goes on from the copy as it would from the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from cdc import durable
from cdc.errors import SchemaMoved
from cdc.schema import Row
from cdc.sqlite import log, origin
from cdc.sqlite.blueprint import Blueprint
from cdc.sqlite.captures import Captured, has_table
from cdc.sqlite.connection import SourceFile, translated
from cdc.sqlite.log import Position
from cdc.sqlite.names import CHANGELOG, quote
from cdc.sqlite.newfile import NewFile
from cdc.sqlite.origin import Origin
from cdc.sqlite.rowform import RowForm, form_of
from cdc.sqlite.rows import Bound
from cdc.sqlite.tail import Tail, TailOf
from cdc.sqlite.triggers import render
from cdc.sqlite.unlogged import STRETCH_ROWS, Unlogged

MOST_ATTEMPTS: Final = 3
"""How often a copy is begun again because the application has changed its schema."""

Advance = Callable[[str, int, int | None], object]
"""Told of a table, its rows copied so far, and at most how many there are, where that is known."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A finished copy: it is what `log_id` said up to `end`. `rows` are those of captured tables,
    by table. `unsettled` are tables that are of no single moment.
    """

    path: Path
    log_id: str
    end: Position
    rows: dict[str, int]
    unsettled: tuple[str, ...]


def make(
    file: SourceFile,
    path: Path,
    *,
    lock_bound_seconds: float,
    log_from: int | None,
    advance: Advance = lambda *_: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Replica | None:
    """Copy a captured file to a new path, never holding its lock for longer than the bound.

    With `log_from` the capture comes along, with the events from that one on, which nobody may
    prune meanwhile; without it, no trace of us is in the copy. None where it was stopped; then, and
    after any error, there is nothing at the path. Raises SourceError.
    """
    wish = _Wish(lock_bound_seconds, log_from, advance, stopped)
    attempt = 1
    while True:
        try:
            return _attempt(file, path, wish)
        except SchemaMoved:
            if attempt == MOST_ATTEMPTS:
                raise
            attempt += 1


def set_journal_mode(path: Path, mode: str) -> None:
    """Have a finished copy in WAL mode where `mode` is "wal", as SQLite tells it of the file.

    That is the one mode that a file remembers; any other is up to whoever opens it.
    """
    if mode == "wal":
        with translated(path):
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
            finally:
                connection.close()
        durable.sync(path)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for, as `make` explains it."""

    lock_bound_seconds: float
    log_from: int | None
    advance: Advance
    stopped: Callable[[], bool]


class _Stopped(Exception):
    """Ends a copy from within; no error."""


def _attempt(file: SourceFile, path: Path, wish: _Wish) -> Replica | None:
    found = origin.look(file, with_capture=wish.log_from is not None)
    copy = NewFile.create(path, found.plan)
    try:
        return _Making(found, copy, wish).run()
    except BaseException as error:
        copy.close()
        path.unlink(missing_ok=True)
        if isinstance(error, _Stopped):
            return None
        raise


@dataclass(slots=True)
class _LoggedTable:
    """A captured table on its way; what its rows are in the copy has a moment once it is begun."""

    captured: Captured
    form: RowForm
    tail: TailOf


@dataclass(frozen=True, slots=True)
class _End:
    """The moment of which the copy is, and what was read in it: rows by table."""

    position: Position
    plan: Blueprint
    forms: list[RowForm]
    rows: dict[str, list[Row]]


class _Making:
    """One attempt at one copy."""

    def __init__(self, found: Origin, copy: NewFile, wish: _Wish) -> None:
        self._origin = found
        self._file = found.file
        self._copy = copy
        self._wish = wish
        seconds = wish.lock_bound_seconds
        self._bound = Bound(seconds, STRETCH_ROWS)
        self._begun: list[_LoggedTable] = []
        self._unlogged = Unlogged(
            self._file, copy, seconds, check=self._check, between=self._catch_up
        )

    def run(self) -> Replica:
        plan = self._origin.plan
        for table in plan.tables():
            if not table.own and not table.name.lower().startswith("sqlite_"):
                self._copy.make(table)
        self._tail = self._begin_tail()
        for captured in self._origin.captured:
            self._walk(captured)
        end, unsettled = self._reach_end()
        rows = self._finish(end)
        self._copy.complete(end.plan)
        return Replica(self._copy.path, self._origin.log_id, end.position, rows, unsettled)

    def _begin_tail(self) -> Tail:
        with self._file.reading():
            newest = log.end(self._file).seq
        # The event at the position itself is how a target knows the log that it has followed.
        after = newest if self._wish.log_from is None else max(self._wish.log_from - 1, 0)
        objects = self._origin.plan.objects
        kept = next((each for each in objects if each.name == CHANGELOG), None)
        return Tail(self._file, self._copy, after, self._bound, self._check, kept=kept)

    def _check(self) -> None:
        """End the copy where it was stopped, or is of a schema that is not any more."""
        if self._wish.stopped():
            raise _Stopped
        self._origin.check()

    def _walk(self, captured: Captured) -> None:
        """Copy a captured table, while all that are there go on with the log."""
        form = form_of(captured.source)
        walk = form.walk(self._file)
        with self._file.reading():
            expected = walk.estimated_rows()
        table: _LoggedTable | None = None
        place: Row | None = None
        rows, last = 0, False
        while not last:
            with self._file.reading():
                self._check()
                as_of = self._tail.newest()
                found = walk.read(place, self._bound)
            self._catch_up(as_of)
            if table is None:
                table = _LoggedTable(captured, form, TailOf(self._copy, captured, form, as_of))
                self._begun.append(table)
            table.tail.add(found.rows)
            if table.tail.lost:
                return
            place, last, rows = found.place, found.last, rows + found.count
            self._wish.advance(captured.name, rows, expected)

    def _catch_up(self, as_of: int | None = None) -> None:
        """Bring all rows of the copy to the moment at which the log ended with `as_of`, or now."""
        if as_of is None:
            with self._file.reading():
                as_of = self._tail.newest()
        layouts = self._tail.follow(as_of)
        for table in self._begun:
            if table.captured.layout in layouts:
                table.tail.apply(as_of)

    def _reach_end(self) -> tuple[_End, tuple[str, ...]]:
        """Come to a moment of which everything is known; what is large is read before it."""
        moving: list[str] = []
        small, large = self._unlogged.part([*self._origin.others, *self._lost()])
        while True:
            moving += [form.name for form in large if not self._unlogged.copy(form)]
            large = []
            end = self._read_end(small)
            if isinstance(end, RowForm):
                small.remove(end)
                large = [end]
                continue
            self._catch_up(end.position.seq)
            more = self._lost()
            if not more:
                return end, tuple(moving)
            fitting, large = self._unlogged.part(more)
            small += fitting

    def _lost(self) -> list[RowForm]:
        """Tables of which the log has turned out not to tell everything, since the last call."""
        lost = [table for table in self._begun if table.tail.lost]
        self._begun = [table for table in self._begun if not table.tail.lost]
        return [table.form for table in lost]

    def _read_end(self, small: list[RowForm]) -> _End | RowForm:
        """What there is to read in the last moment, or the table that there was no time for."""
        with self._file.reading():
            self._check()
            plan = self._origin.plan_now()
            own = self._origin.small_now(plan)
            rows = self._unlogged.read_now(own, small)
            if isinstance(rows, RowForm):
                return rows
            return _End(log.end(self._file), plan, [*own, *small], rows)

    def _finish(self, end: _End) -> dict[str, int]:
        """All that is made of the rows, when all are there; how many each captured table has."""
        for table in end.plan.tables():
            if not has_table(self._copy, table.name):
                self._copy.make(table)
        for form in end.forms:
            self._copy.clear(form.name)
            self._copy.insert(form, end.rows[form.name])
        for each in self._begun:
            each.tail.settle_rowids()
        for captured in self._origin.captured:
            fill = render(captured.source, captured.layout).fill
            if fill is not None and self._origin.with_capture:
                self._copy.fill(fill)
        for index in end.plan.objects:
            if index.kind == "index":
                self._copy.make(index)
        made = [each for each in end.plan.objects if each.kind == "index" or each.is_table]
        self._copy.enter([each for each in end.plan.objects if each not in made])
        return {
            each.name: self._copy.query(f"SELECT count(*) FROM {quote(each.name)}").get
            for each in self._origin.captured
        }
