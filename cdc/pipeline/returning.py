"""Rows of PostgreSQL in the words of SQLite: what to write, and whether what stands there will do.

A value of SQLite agrees with one of PostgreSQL when it is mapped to that very value. The proof says
so, by the form in which it compares both, and the mapping has to take the value, too.
"""

from dataclasses import dataclass

from cdc.mapping.table import MappedTable
from cdc.postgres.queue import QueuedRow, QueuedTable, Unreadable
from cdc.postgres.reverse import LeftBehind
from cdc.proof.canonical import Canonical, ColumnForms
from cdc.schema import Key, Value
from cdc.sqlite.incoming import Incoming, IncomingTable, Refused


@dataclass(frozen=True, slots=True)
class Returned:
    """The rows of one table, made ready for SQLite, and those for which it has no form."""

    incoming: IncomingTable
    unfit: list[LeftBehind]


class NoForm(ValueError):
    """A value of PostgreSQL that SQLite has no form for, in this column; the message says why."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class Returning:
    """The way back of one table."""

    def __init__(self, table: MappedTable) -> None:
        self._table = table
        self._forms = [ColumnForms(column) for column in table.columns]
        self._at = {column.source: i for i, column in enumerate(table.columns)}

    def rows(self, queued: QueuedTable) -> Returned:
        """What a batch says of the table. A row without a form takes its key's place by having no
        values: SQLite has no row for it.
        """
        incoming, unfit = [], []
        for row in queued.rows:
            try:
                key = self._key(row)
            except NoForm as error:
                # No row of SQLite can have had this key.
                unfit.append(self._left(row, error))
                continue
            try:
                incoming.append(self._incoming(row, key))
            except NoForm as error:
                unfit.append(self._left(row, error))
                incoming.append(Incoming(row.name, key, None, _agree_to_nothing, whole=True))
        name = self._table.source.name
        return Returned(IncomingTable(name, incoming, queued.truncated), unfit)

    def left_behind(self, refused: Refused) -> LeftBehind:
        """What SQLite has refused, in the words of PostgreSQL."""
        column = None if refused.position is None else self._table.column(refused.position).name
        return LeftBehind(refused.table, refused.name, column, refused.reason)

    def _left(self, row: QueuedRow, error: NoForm) -> LeftBehind:
        return LeftBehind(self._table.source.name, row.name, error.column, str(error))

    def _key(self, row: QueuedRow) -> Key:
        return tuple(
            self._decoded(i, value) for i, value in zip(self._table.key_at, row.key, strict=True)
        )

    def _incoming(self, row: QueuedRow, key: Key) -> Incoming:
        if row.values is None:
            return Incoming(row.name, key, None, _agree_to_nothing, whole=row.whole)
        values = {
            column.source: self._decoded(i, row.values[i])
            for i, column in enumerate(self._table.columns)
        }
        wanted = [self._forms[i].of_target(value) for i, value in enumerate(row.values)]
        return Incoming(row.name, key, values, _Agreement(self, wanted), row.whole)

    def _decoded(self, i: int, value: object) -> Value:
        column = self._table.columns[i]
        if isinstance(value, Unreadable):
            raise NoForm(column.name, value.reason)
        try:
            decoded = column.type.decode(value)
        except (ValueError, ArithmeticError) as error:
            raise NoForm(column.name, str(error)) from error
        if isinstance(decoded, int) and not -(2**63) <= decoded < 2**63:
            raise NoForm(column.name, "SQLite has no integer of this size")
        return decoded

    def agrees(self, i: int, value: Value, wanted: Canonical) -> bool:
        """Whether a value of SQLite is mapped to the one of the column `i` that is wanted."""
        if self._forms[i].of_source(value) != wanted:
            return False
        return value is None or self._table.columns[i].type.accepts(value)

    def place(self, position: int) -> int:
        """Which column of the target takes the values at a position of SQLite."""
        return self._at[position]


@dataclass(frozen=True, slots=True)
class _Agreement:
    """Whether values of SQLite say the same as one row of PostgreSQL."""

    returning: Returning
    wanted: list[Canonical]

    def __call__(self, position: int, value: Value) -> bool:
        i = self.returning.place(position)
        return self.returning.agrees(i, value, self.wanted[i])


def _agree_to_nothing(_: int, __: Value) -> bool:
    return False
