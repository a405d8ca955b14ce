"""A table whose keys the two sides have in different orders, as under NOCASE or in UTF-16: compared
whole.

PostgreSQL's rows go, by key, into a scratch database that SQLite keeps on disk where it grows; then
SQLite's rows are walked in their own order, each chunk at its own moment. What does not match
is owed, and so compared once more and named. Once all is equal, the next proofs compare the keys
that were touched since, as of any table.
"""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Final, cast

import apsw

from cdc.mapping.literals import literal
from cdc.proof.outcome import Difference, TableOutcome, What
from cdc.proof.packing import ROWS_AT_ONCE, settled
from cdc.proof.rows import RowComparison, SourceRange
from cdc.proof.sides import Sides
from cdc.proof.snapshot import Snapshot, snapshot
from cdc.proof.target import ProvenTable, TargetRow
from cdc.schema import Key, Row
from cdc.sqlite.walk import TableWalk

CHUNK: Final = 20_000

MOST_OWED: Final = 10_000
"""Rows that differ which are compared once more, to name their columns."""


Mark = tuple[str, bytes]
"""A key, and what tells its row from any other."""


def marks(table: ProvenTable, rows: Iterable[TargetRow]) -> Iterator[Mark]:
    """The mark of each row, in their order: of either side's rows, in the form that is compared."""
    columns = [settled(column) for column in zip(*rows, strict=True)]
    keys = zip(*(columns[at] for at in table.key_at), strict=True)
    for key, row in zip(keys, zip(*columns, strict=True), strict=True):
        yield repr(key), blake2b(repr(row).encode(), digest_size=16).digest()


class Scratch:
    """The rows of a target table, by key."""

    def __init__(self) -> None:
        self._db = apsw.Connection("")  # a temporary file, which goes with the connection
        self._db.execute(
            "CREATE TABLE seen (key TEXT PRIMARY KEY, row BLOB, form BLOB) WITHOUT ROWID;"
            " CREATE TABLE asked (key TEXT)"
        )
        self.rows = 0
        """How many rows were taken."""

    def fill(self, table: ProvenTable, seen: Snapshot) -> None:
        """Take all rows of a snapshot."""
        with self._db:
            for rows in seen.all_rows():
                forms = (pickle.dumps(table.key_of(row)) for row in rows)
                made = zip(marks(table, rows), forms, strict=True)
                self._db.executemany(
                    "INSERT INTO seen VALUES (?, ?, ?)", ((*mark, form) for mark, form in made)
                )
                self.rows += len(rows)

    def take(self, keys: Sequence[str]) -> list[bytes | None]:
        """What tells the rows of some keys apart, None where there is none; a row that was handed
        out is gone.
        """
        with self._db:
            self._db.executemany("INSERT INTO asked VALUES (?)", ((key,) for key in keys))
            rows = self._db.execute("SELECT key, row FROM asked JOIN seen USING (key)").fetchall()
            self._db.execute(
                "DELETE FROM seen WHERE key IN (SELECT key FROM asked); DELETE FROM asked"
            )
        found = dict(cast("list[tuple[str, bytes]]", rows))
        return [found.pop(key, None) for key in keys]

    def left(self) -> Iterator[TargetRow]:
        """The keys of all rows that nobody has taken, in the form in which keys are compared."""
        for (form,) in self._db.execute("SELECT form FROM seen"):
            yield pickle.loads(form)  # noqa: S301  (written here, to a file that has no name)

    def close(self) -> None:
        self._db.close()


def compare_whole(sides: Sides, rows: RowComparison, outcome: TableOutcome) -> None:
    """Compare a table, whatever the order of its keys."""
    file = sides.file
    walk = TableWalk(file.file, sides.captured.source)
    with closing(Scratch()) as scratch:
        with sides.target.lease() as conn, snapshot(conn, sides.table) as seen:
            rows.look(seen)
            scratch.fill(sides.table, seen)
        outcome.target_rows = scratch.rows
        outcome.position = seen.position
        file.following.forget(seen.position)
        matching = _Matching(sides, rows, outcome, scratch)
        place, last = None, False
        while not last:
            with file.reading() as bound:
                found = walk.read(place, bound(CHUNK))
            matching.add(rows.own(found.rows), seen.position)
            place, last = found.place, found.last
            file.give_way()
        with file.reading():
            pass  # what was deleted since its place was passed is known as in flight by now
        matching.end(seen.position)


class _Matching:
    """Takes rows of SQLite out of a scratch, one by one."""

    def __init__(
        self,
        sides: Sides,
        rows: RowComparison,
        outcome: TableOutcome,
        scratch: Scratch,
    ) -> None:
        self._sides = sides
        self._rows = rows
        self._outcome = outcome
        self._scratch = scratch
        self._suspects = 0

    def add(self, rows: Sequence[Row], position: int) -> None:
        """Match rows as they were after `position`."""
        matched = []
        table = self._sides.table
        for at in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[at : at + ROWS_AT_ONCE]
            keys, ours = zip(*marks(table, table.forms_of_rows(some)), strict=True)
            theirs = self._scratch.take(keys)
            for row, own, other in zip(some, ours, theirs, strict=True):
                if own == other:
                    matched.append(row)
                else:
                    what: What = "missing" if other is None else "different"
                    self._suspect(what, self._sides.key(row), position)
        self._rows.count_equal(SourceRange(len(matched), self._rows.count_altered(matched), ()))

    def end(self, position: int) -> None:
        """What is left has no row in SQLite."""
        for form in self._scratch.left():
            self._suspect("extra", self._sides.table.source_key(form), position)

    def _suspect(self, what: What, key: Key, position: int) -> None:
        form = self._sides.table.key_forms(key)
        self._suspects += 1
        if self._suspects <= MOST_OWED or self._sides.is_in_flight(form, position):
            self._sides.owe(form, key)
        else:  # it is certain without a second look, which would only give it its columns
            self._outcome.note(Difference(what, tuple(literal(v) or "NULL" for v in key)), key)
