"""A table whose keys the two sides have in different orders, as under NOCASE or in UTF-16: compared
whole.

PostgreSQL's rows go, by key, into a scratch database that SQLite keeps on disk where it grows; then
SQLite's rows are walked in their own order, each chunk at its own moment. What does not match
is owed, and so compared once more and named. Once all is equal, the next proofs compare the keys
that were touched since, as of any table.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Final

import apsw

from cdc.mapping.literals import literal
from cdc.postgres.keys import dump_key, load_key
from cdc.proof.outcome import Difference, TableOutcome, What
from cdc.proof.packing import settled
from cdc.proof.rows import RowComparison, SourceRange
from cdc.proof.sides import Sides
from cdc.proof.snapshot import Snapshot, snapshot
from cdc.proof.target import ProvenTable, TargetRow
from cdc.schema import Key, Row
from cdc.sqlite.walk import TableWalk

CHUNK: Final = 20_000

MOST_OWED: Final = 10_000
"""Rows that differ which are compared once more, to name their columns."""


class Scratch:
    """The rows of a target table: for each key the digest of its row."""

    def __init__(self) -> None:
        self._db = apsw.Connection("")  # a temporary file, which goes with the connection
        self._db.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, row BLOB) WITHOUT ROWID")

    def fill(self, table: ProvenTable, seen: Snapshot) -> None:
        """Take all rows of a snapshot."""
        with self._db:
            self._db.executemany(
                "INSERT INTO seen VALUES (?, ?)",
                (
                    (dump_key(table.source_key(table.key_of(row))), row_digest(row))
                    for row in seen.all_rows()
                ),
            )

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return int(self._db.execute("SELECT count(*) FROM seen").get)

    def take(self, key: Key) -> bytes | None:
        """The digest of a row, which is gone from here with that."""
        found = self._db.execute("DELETE FROM seen WHERE key = ? RETURNING row", (dump_key(key),))
        return next((bytes(row) for (row,) in found), None)

    def left(self) -> Iterator[Key]:
        """The keys of all rows that nobody has taken."""
        for (key,) in self._db.execute("SELECT key FROM seen"):
            yield load_key(key)

    def close(self) -> None:
        self._db.close()


def row_digest(row: TargetRow) -> bytes:
    """What tells a row in the form that is compared from any other."""
    return blake2b(repr(settled(row)).encode(), digest_size=16).digest()


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
        for row in rows:
            key = self._sides.key(row)
            theirs = self._scratch.take(key)
            ours = tuple(c.forms.of_source(row[c.source]) for c in self._sides.table.columns)
            if theirs == row_digest(ours):
                matched.append(row)
            else:
                self._suspect("missing" if theirs is None else "different", key, position)
        self._rows.count_equal(SourceRange(len(matched), self._rows.count_altered(matched), ()))

    def end(self, position: int) -> None:
        """What is left has no row in SQLite."""
        for key in self._scratch.left():
            self._suspect("extra", key, position)

    def _suspect(self, what: What, key: Key, position: int) -> None:
        form = self._sides.table.key_forms(key)
        self._suspects += 1
        if self._suspects <= MOST_OWED or self._sides.is_in_flight(form, position):
            self._sides.owe(form, key)
        else:  # it is certain without a second look, which would only give it its columns
            self._outcome.note(Difference(what, tuple(literal(v) or "NULL" for v in key)), key)
