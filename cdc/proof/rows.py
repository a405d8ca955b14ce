"""Rows of a table compared one by one, where digests differ, and what each difference counts as."""

from collections.abc import Mapping, Sequence

from cdc.mapping.literals import literal
from cdc.proof.canonical import shown
from cdc.proof.outcome import ColumnDifference, Difference, TableOutcome
from cdc.proof.sides import Sides
from cdc.proof.target import Snapshot, TargetRow
from cdc.schema import Key, Row, Value


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

    def count_equal(self, rows: Sequence[Row]) -> None:
        """Count rows whose digest was the target's."""
        self._outcome.rows += len(rows)
        for column in self._lossy:
            altered = column.forms.altered
            count = sum(altered(row[column.source]) for row in rows)
            self._outcome.count_altered(column.name, count)

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
        name = tuple(map(_literal, key))
        if found is None:
            self._outcome.note(Difference("missing", name), key)
            return
        different = []
        for column, theirs in zip(self._table.columns, found, strict=True):
            value = row[column.source]
            if column.forms.altered(value):
                self._outcome.count_altered(column.name, 1)
            if column.forms.of_source(value) != theirs:
                different.append(ColumnDifference(column.name, literal(value), shown(theirs)))
        if different:
            self._outcome.note(Difference("different", name, tuple(different)), key)

    def _extra(self, key: Key, found: TargetRow) -> None:
        columns = tuple(
            ColumnDifference(column.name, None, shown(value))
            for column, value in zip(self._table.columns, found, strict=True)
        )
        self._outcome.note(Difference("extra", tuple(map(_literal, key)), columns), key)


def _literal(value: Value) -> str:
    return literal(value) or "NULL"
