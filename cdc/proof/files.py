"""Two SQLite files compared: the source's, which is written to, and a copy that stands still.

Row by row and value by value, storage classes included, by key and in both directions. Keys that
the log names behind the copy's event say nothing. Rows whose key is NULL have none to be found by:
of these each file is to have the same ones, as often.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from cdc.errors import SchemaMoved
from cdc.event import LAYOUT, SEQ, VALUES
from cdc.mapping.literals import literal
from cdc.proof.following import MOST_EVENTS, LogGone, TooFarBehind
from cdc.proof.outcome import ColumnDifference, Difference, TableOutcome
from cdc.proof.replayed import OTHER_SHAPE
from cdc.schema import Key, Row, Table, Value
from cdc.sqlite import introspect
from cdc.sqlite.captures import Captured, captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lookup import Lookup
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import TableWalk

AT_ONCE: Final = 500
"""Rows that are looked up in one read transaction of the source."""

Identity = tuple[tuple[str, Value], ...]


def compare_files(
    source: Path, copy: Path, layouts: Sequence[int], seq: int, lock_bound: float
) -> list[TableOutcome]:
    """Compare the tables with these layouts with those of `copy`, which is as of event `seq`.

    Raises LogGone where the source's log does not reach back to that event, TooFarBehind where too
    much has changed since.
    """
    with ExitStack() as stack:
        file = stack.enter_context(SourceFile(source))
        other = stack.enter_context(SourceFile(copy, only_look=True))
        moving = _Moving(file, layouts, seq, lock_bound / 2)
        with file.reading():
            captures = {each.layout: each for each in captured(file)}
        outcomes = []
        for layout in layouts:
            capture = captures.get(layout)
            outcome = TableOutcome(capture.name if capture else f"layout {layout}", str(copy))
            outcomes.append(outcome)
            if capture is None:
                outcome.problem = OTHER_SHAPE
            else:
                _Comparison(moving, other, capture, outcome).run()
        return outcomes


class _Moving:
    """The source's file, and the keys that have changed behind the event of the copy."""

    def __init__(self, file: SourceFile, layouts: Sequence[int], seq: int, seconds: float) -> None:
        self.file = file
        self._seconds = seconds
        self._seq = seq
        self._changed: dict[int, set[Identity]] = {layout: set() for layout in layouts}
        with file.reading():
            self._version = file.schema_version
            self._changelog = Changelog(file)
            self._keys = {each.layout: each.source.table.key for each in captured(file)}

    def has_changed(self, layout: int, key: Key) -> bool:
        """Whether an event behind the copy's names this key."""
        return _identity(key) in self._changed[layout]

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], Bound]]:
        """A read transaction at whose moment all changes are known."""
        while True:
            with self.file.reading():
                if self.file.schema_version != self._version:
                    raise SchemaMoved(f"The schema of {self.file.path} changed.")
                if self._read():
                    yield lambda rows: Bound(self._seconds, rows)
                    return

    def _read(self) -> bool:
        found = self._changelog.read(self._seq, Bound(self._seconds, 10_000))
        if found.events and found.events[0][SEQ] != self._seq + 1:
            raise LogGone(
                f"the log of {self.file.path} does not reach back to event {self._seq + 1}"
            )
        for event in found.events:
            self._seq = event[SEQ]
            if event[LAYOUT] in self._changed and event[LAYOUT] in self._keys:
                key = tuple(event[VALUES + i] for i in self._keys[event[LAYOUT]])
                self._changed[event[LAYOUT]].add(_identity(key))
        if sum(map(len, self._changed.values())) > MOST_EVENTS:
            raise TooFarBehind(
                f"In {self.file.path} more than {MOST_EVENTS:,} rows have changed since then."
            )
        return found.complete


class _Comparison:
    """One table of both files."""

    def __init__(
        self, moving: _Moving, other: SourceFile, capture: Captured, outcome: TableOutcome
    ) -> None:
        self._moving = moving
        self._other = other
        self._layout = capture.layout
        self._source = capture.source
        self._outcome = outcome
        with other.reading():
            self._copy = introspect.source_table(other, capture.name)
        self._in_copy = Lookup(other, self._copy)
        self._in_source = Lookup(moving.file, self._source)
        self._without_key: dict[Identity, tuple[Row, int]] = {}

    def run(self) -> None:
        """Each row of the source in the copy, and each of the copy in the source."""
        self._walk_source()
        self._walk_copy()
        self._judge_without_key()
        self._outcome.done = True

    def _walk_source(self) -> None:
        walk = TableWalk(self._moving.file, self._source)
        place, last = None, False
        while not last:
            with self._moving.reading() as bound:
                stretch = walk.read(place, bound(10_000))
            place, last = stretch.place, stretch.last
            with self._other.reading():
                for row in stretch.rows:
                    self._judge(row)

    def _judge(self, row: Row) -> None:
        key = _key(self._source.table, row)
        self._outcome.rows += 1
        if self._moving.has_changed(self._layout, key):
            self._outcome.owed += 1
            return
        if None in key:
            self._count(row, 1)
            return
        found = self._in_copy.row(key)
        if found is None:
            self._note("missing", key, row, None)
        elif _identity(found) != _identity(row):
            self._note("different", key, row, found)

    def _walk_copy(self) -> None:
        walk = TableWalk(self._other, self._copy)
        place, last = None, False
        while not last:
            with self._other.reading():
                stretch = walk.read(place, Bound(1.0, AT_ONCE))
            place, last = stretch.place, stretch.last
            rows = stretch.rows
            while rows:
                rows = rows[self._look_up(rows) :]

    def _look_up(self, rows: Sequence[Row]) -> int:
        """Look rows of the copy up in the source, in one short read; how many of them."""
        with self._moving.reading() as bound:
            some = rows[: bound(AT_ONCE).rows]
            for row in some:
                key = _key(self._copy.table, row)
                if self._moving.has_changed(self._layout, key):
                    continue
                if None in key:
                    self._count(row, -1)
                elif self._in_source.row(key) is None:
                    self._note("extra", key, None, row)
        return len(some)

    def _count(self, row: Row, more: int) -> None:
        """Note a row without a key: one more of the source's than of the copy's, or one less."""
        name = _identity(row)
        _, count = self._without_key.get(name, (row, 0))
        self._without_key[name] = row, count + more

    def _judge_without_key(self) -> None:
        for row, count in self._without_key.values():
            key = _key(self._source.table, row)
            if not self._moving.has_changed(self._layout, key):
                for _ in range(abs(count)):
                    if count > 0:
                        self._note("missing", key, row, None)
                    else:
                        self._note("extra", key, None, row)

    def _note(self, what: str, key: Key, ours: Row | None, theirs: Row | None) -> None:
        columns = tuple(
            ColumnDifference(
                column.name,
                literal(ours[i]) if ours else None,
                literal(theirs[i]) if theirs else None,
            )
            for i, column in enumerate(self._source.table.columns)
            if not (ours and theirs) or _identity((ours[i],)) != _identity((theirs[i],))
        )
        name = tuple(literal(value) or "NULL" for value in key)
        self._outcome.note(Difference(what, name, columns), key)  # type: ignore[arg-type]


def _key(table: Table, row: Row) -> Key:
    return tuple(row[i] for i in table.key)


def _identity(values: Sequence[Value]) -> Identity:
    """What is equal only for the same values of the same storage classes, bit for bit."""
    return tuple((type(value).__name__, repr(value)) for value in values)
