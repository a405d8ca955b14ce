"""A captured table together with the table that it becomes in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.mapping.codec import OnMisfit
from cdc.mapping.extras import NO_EXTRAS, Extras
from cdc.mapping.naming import Fold
from cdc.mapping.types import TargetType
from cdc.schema import Key, Row, Table, Value

NO_KEY: Final = "PostgreSQL has no row whose key is NULL"


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column of a target table; `name` is valid in PostgreSQL as it stands.

    `source` is the position of its values in a row of SQLite.
    """

    name: str
    type: TargetType
    source: int
    on_misfit: OnMisfit = "refuse"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value that its column cannot hold: its position in the row of SQLite, and why."""

    position: int
    value: Value
    reason: str


@dataclass(frozen=True, slots=True)
class MappedTable:
    """The target of one captured table: its columns in the same order, but for those left out.

    Rows and positions are those of SQLite; a column says by its `source` where its values stand.
    `extras` is what the target has besides; `fold` says in which case names of SQLite are there.
    """

    source: Table
    schema: str
    name: str
    columns: tuple[TargetColumn, ...]
    extras: Extras = NO_EXTRAS
    fold: Fold = "keep"

    @property
    def key(self) -> tuple[int, ...]:
        """The positions of the key in a row of SQLite."""
        return self.source.key

    @property
    def key_at(self) -> tuple[int, ...]:
        """The positions of the key in `columns`; no column of a key is ever left out."""
        at = {column.source: i for i, column in enumerate(self.columns)}
        return tuple(at[position] for position in self.key)

    @property
    def key_columns(self) -> tuple[TargetColumn, ...]:
        return tuple(self.columns[i] for i in self.key_at)

    @property
    def positions(self) -> tuple[int, ...]:
        """Where in a row of SQLite the values of each column stand."""
        return tuple(column.source for column in self.columns)

    def column(self, position: int) -> TargetColumn:
        """The column that takes the values at this position of a row of SQLite."""
        return next(column for column in self.columns if column.source == position)

    def why(self, row: Row) -> Unfit | None:
        """The first value of `row` that its column cannot hold, if there is one.

        A NULL in a key column is one: PostgreSQL's primary keys have none.
        """
        return self._first_unfit(row, self.columns)

    def why_key(self, key: Key) -> Unfit | None:
        """The first value of a key, as a delete carries it, that its column cannot hold."""
        row: list[Value] = [None] * len(self.source.columns)
        for position, value in zip(self.key, key, strict=True):
            row[position] = value
        return self._first_unfit(tuple(row), self.key_columns)

    def misfit(self, row: Row) -> int | None:
        """The position of the first value of `row` that its column cannot hold."""
        unfit = self.why(row)
        return None if unfit is None else unfit.position

    def _first_unfit(self, row: Row, columns: Sequence[TargetColumn]) -> Unfit | None:
        for column in columns:
            position = column.source
            value = row[position]
            if value is None:
                reason = NO_KEY if position in self.key else None
            else:
                reason = column.type.refusal(value)
            if reason is not None:
                return Unfit(position, value, reason)
        return None
