"""Rows of a table compared one by one, where digests differ, and what each difference counts as."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdc.mapping.literals import literal
from cdc.proof.canonical import shown
from cdc.proof.outcome import ColumnDifference, Difference, TableOutcome
from cdc.proof.packing import ROWS_AT_ONCE, Unlike
from cdc.proof.sides import Sides
from cdc.proof.snapshot import Snapshot
from cdc.proof.target import ProvenTable, TargetRow
from cdc.schema import Key, Row, Value


@dataclass(frozen=True, slots=True)
class SourceRange:
    """What SQLite has of a range: `rows` that the target must hold, how many of their values are
    `altered`, by column, and the digest of each column, or none where a value has no form.
    """

    rows: int
    altered: Counter[str]
    digests: tuple[bytes, ...]


class RowComparison:
    """Compares rows of one table, and keeps count.

    The keys that are in the quarantine when the target is looked at must not have a row in it. A
    row that changed behind the position of the target is owed.
    """

    def __init__(
        self,
        sides: Sides,
        outcome: TableOutcome,
    ) -> None:
        self._sides = sides
        self._table = sides.table
        self._outcome = outcome
        self.quarantined: frozenset[Key] = frozenset()
        self._quarantine: object = (0, None)
        self._lossy = [c for c in sides.table.columns if c.forms.lossy]

    def look(self, seen: Snapshot) -> None:
        """Take the quarantine as it is in a snapshot, with which rows are compared from now on."""
        if seen.standing.quarantine != self._quarantine:
            self.quarantined = seen.quarantined()
            self._quarantine = seen.standing.quarantine

    def own(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows that the target must hold: those that are not in the quarantine."""
        if not self.quarantined:
            return rows
        return [row for row in rows if self._sides.key(row) not in self.quarantined]

    def count_altered(self, rows: Sequence[Row]) -> Counter[str]:
        """How many values of each column the configuration has another one stored for."""
        return Counter(
            {
                column.name: sum(column.forms.altered(row[column.source]) for row in rows)
                for column in self._lossy
            }
        )

    def count_equal(self, found: SourceRange) -> None:
        """Count rows whose digest was the target's."""
        self._outcome.rows += found.rows
        for column, count in found.altered.items():
            self._outcome.count_altered(column, count)

    def compare(
        self, rows: Sequence[Row], theirs: dict[TargetRow, TargetRow], position: int
    ) -> None:
        """Compare rows with those of the target at `position`, which are taken out of `theirs`."""
        for row in rows:
            key = self._sides.key(row)
            form = self._table.key_forms(key)
            found = theirs.pop(form, None)
            self._outcome.rows += 1
            if self._sides.is_in_flight(form, position):
                self._sides.owe(form, key)
            else:
                self.judge(key, row, found)

    def compare_rest(self, theirs: Mapping[TargetRow, TargetRow], position: int) -> None:
        """What is left of the target's rows has none in SQLite."""
        for form, found in theirs.items():
            key = self._table.source_key(form)
            if self._sides.is_in_flight(form, position):
                self._sides.owe(form, key)
            else:
                self.judge(key, None, found)

    def judge(self, key: Key, row: Row | None, found: TargetRow | None) -> None:
        """Compare what both sides have of one key at one moment, None where that is no row."""
        if row is None or key in self.quarantined:
            if found is not None:
                self._extra(key, found)
        else:
            self._judge_row(key, row, found)

    def _judge_row(self, key: Key, row: Row, found: TargetRow | None) -> None:
        if found is None:
            self._outcome.note(Difference("missing", tuple(map(_literal, key))), key)
            return
        for column in self._lossy:
            if column.forms.altered(row[column.source]):
                self._outcome.count_altered(column.name, 1)
        if self._table.same(row, found):
            return
        different = tuple(
            ColumnDifference(column.name, literal(row[column.source]), shown(theirs))
            for column, theirs in zip(self._table.columns, found, strict=True)
            if column.forms.of_source(row[column.source]) != theirs
        )
        self._outcome.note(Difference("different", tuple(map(_literal, key)), different), key)

    def _extra(self, key: Key, found: TargetRow) -> None:
        columns = tuple(
            ColumnDifference(column.name, None, shown(value))
            for column, value in zip(self._table.columns, found, strict=True)
        )
        self._outcome.note(Difference("extra", tuple(map(_literal, key)), columns), key)


def _literal(value: Value) -> str:
    return literal(value) or "NULL"


class RangeDigest:
    """Digests the rows of a range as they are read."""

    def __init__(self, table: ProvenTable, rows: RowComparison) -> None:
        self._rows = rows
        self._sources = [column.source for column in table.columns]
        self._packings = [column.packing() for column in table.columns]
        self._count = 0
        self._altered: Counter[str] = Counter()
        self._unlike = False

    def add(self, rows: list[Row]) -> None:
        """The next rows of the range."""
        own = self._rows.own(rows)
        self._count += len(own)
        self._altered += self._rows.count_altered(own)
        for at in range(0, len(own), ROWS_AT_ONCE):
            columns = list(zip(*own[at : at + ROWS_AT_ONCE], strict=True))
            try:
                for packing, source in zip(self._packings, self._sources, strict=True):
                    packing.add(columns[source])
            except Unlike:
                self._unlike = True

    def end(self) -> SourceRange:
        """What came of it."""
        if self._unlike:
            return SourceRange(self._count, self._altered, ())
        digests = tuple(packing.digest() if self._count else b"" for packing in self._packings)
        return SourceRange(self._count, self._altered, digests)
