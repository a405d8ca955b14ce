"""One pass over a table: what its columns hold, and which values would not fit their targets."""

from collections.abc import Callable, Iterator
from typing import Final

from cdc.errors import SourceError
from cdc.mapping.table import MappedTable
from cdc.plan.fit import ColumnFit
from cdc.plan.profile import ColumnProfile
from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.order import fill_order
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import TableWalk

BLOCK_ROWS: Final = 1000
"""Rows looked at together, column by column."""

READ_VALUES: Final = 200_000
"""Values (rows times columns) in one read, at most; they are in memory at the same time."""

Advance = Callable[[int, int | None], object]
"""Hears of progress: the rows seen so far, and how many there may be, None where unknown."""


class TableSurvey:
    """What the rows of one table came to so far.

    `columns` are in the order of the source, `fits` in that of the target's columns.
    """

    def __init__(self, mapped: MappedTable) -> None:
        table = mapped.source
        self.rows = 0
        self.columns = [ColumnProfile() for _ in table.columns]
        self.fits = [
            ColumnFit(table.columns[target.source], target, table.key) for target in mapped.columns
        ]
        self._positions = mapped.positions

    def add(self, rows: list[Row]) -> None:
        """Take more rows of the table into account."""
        self.rows += len(rows)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            columns = list(zip(*block, strict=True))
            kinds = [
                profile.add(values) for profile, values in zip(self.columns, columns, strict=True)
            ]
            for fit, i in zip(self.fits, self._positions, strict=True):
                fit.add(columns[i], kinds[i], block, zero=self.columns[i].zero_bytes > 0)


def survey(
    file: SourceFile,
    source: SourceTable,
    mapped: MappedTable,
    *,
    lock_bound_seconds: float,
    advance: Advance,
) -> TableSurvey:
    """Look at every row of a table, and hold SQLite's lock for no longer than the bound at a time.

    Rows that change meanwhile are seen as they were before or after. Raises SourceError where the
    schema changes.
    """
    result = TableSurvey(mapped)
    width = len(source.table.columns) + 1
    bound = Bound(lock_bound_seconds / 2, max(1, READ_VALUES // width))
    for rows, expected in _stretches(file, source, bound):
        result.add(rows)
        advance(result.rows, expected)
    return result


def _stretches(
    file: SourceFile, source: SourceTable, bound: Bound
) -> Iterator[tuple[list[Row], int | None]]:
    # Not by key: a key may be NULL, which no place can lie behind.
    walk = TableWalk(file, source, order=fill_order(source))
    with file.reading():
        schema_version = file.schema_version
        expected = walk.estimated_rows()
    place: Row | None = None
    last = False
    while not last:
        with file.reading():
            if file.schema_version != schema_version:
                raise SourceError(
                    f"The schema of {file.path} changed while it was looked at.",
                    hint="Run the command again.",
                )
            stretch = walk.read(place, bound)
        yield stretch.rows, expected
        place, last = stretch.place, stretch.last
