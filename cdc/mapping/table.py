"""A captured table together with the table that it becomes in PostgreSQL."""

from dataclasses import dataclass

from cdc.mapping.types import Encoder, TargetType
from cdc.schema import Row, Table


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column of a target table; `name` is valid in PostgreSQL as it stands."""

    name: str
    type: TargetType


@dataclass(frozen=True, slots=True)
class MappedTable:
    """The target of one captured table: same columns, in the same order, same key positions."""

    source: Table
    schema: str
    name: str
    columns: tuple[TargetColumn, ...]

    @property
    def key(self) -> tuple[int, ...]:
        return self.source.key

    @property
    def key_columns(self) -> tuple[TargetColumn, ...]:
        return tuple(self.columns[i] for i in self.key)

    @property
    def encoders(self) -> tuple[tuple[int, Encoder], ...]:
        """The positions whose values do not go as they are, each with its encoder."""
        return tuple(
            (i, column.type.encode)
            for i, column in enumerate(self.columns)
            if column.type.encode is not None
        )

    def misfit(self, row: Row) -> int | None:
        """The position of the first value of `row` that its column cannot hold, if there is one.

        A NULL in a key column is a misfit too: PostgreSQL's primary keys have none.
        """
        for i, (value, column) in enumerate(zip(row, self.columns, strict=True)):
            if value is None:
                if i in self.key:
                    return i
            elif not column.type.accepts(value):
                return i
        return None
