"""Writing single rows of one captured table as somebody who knows what capture needs.

The connection fires no triggers, so whatever they would do that matters is done here: the events,
which say that they are no doing of the application, and the entries of the mirror.
"""

from collections.abc import Iterable, Mapping, Sequence

from cdc.event import REVERSE_FLOW, Op
from cdc.schema import Key, Row, UndecodableText, Value
from cdc.sqlite.captures import Captured
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lookup import Lookup
from cdc.sqlite.names import CHANGELOG, quote
from cdc.sqlite.triggers import ROW, mirror_name, render


class RowWriter:
    """Reads and writes the rows of one table, each by its exact key; within a write transaction.

    `writable` are the positions of the columns that can be written: SQLite computes the others.
    """

    def __init__(self, file: SourceFile, captured: Captured) -> None:
        self._file = file
        self._layout = captured.layout
        self._source = captured.source
        self._table = table = captured.source.table
        self._name = quote(table.name)
        self._columns = [
            column.name if table.rowid_key and i == 0 else quote(column.name)
            for i, column in enumerate(table.columns)
        ]
        self.writable = [i for i, column in enumerate(table.columns) if not column.generated]
        self._lookup = Lookup(file, captured.source)
        self._fill = render(captured.source, captured.layout).fill

    def takes(self, position: int) -> bool:
        """Whether the column at a position can be written."""
        return not self._table.columns[position].generated

    def row(self, key: Key) -> Row | None:
        """The row of exactly this key; 1 and 1.0 are two."""
        found = self._lookup.row(key)
        if found is None or exact(found[i] for i in self._table.key) != exact(key):
            return None
        return found

    def all_keys(self) -> list[Key]:
        """Every key of the table."""
        columns = ", ".join(self._columns[i] for i in self._table.key)
        return [tuple(row) for row in self._file.query(f"SELECT {columns} FROM {self._name}")]

    def rowid(self, key: Key) -> int | None:
        """The rowid of a key's row, where there is one and it is none of the columns."""
        if self._source.rowid is None or self._table.integer_key:
            return None
        query = f"SELECT {self._source.rowid} FROM {self._name} AS {ROW} WHERE {self._has(key)}"
        found = self._file.query(query, key).get
        return None if found is None else int(found)

    def delete(self, key: Key) -> None:
        """Delete the row of a key."""
        where = self._has(key, self._name)
        self._file.query(f"DELETE FROM {self._name} WHERE {where}", key)

    def update(self, key: Key, changes: Mapping[int, Value]) -> None:
        """Set some columns of a row. Raises APSW's error of a constraint, whatever ON CONFLICT says
        in the table: nobody would hear of a row that it drops, or takes out for this one.
        """
        first = len(key) + 1
        settings = ", ".join(
            f"{self._columns[position]} = {_mark(value, number)}"
            for number, (position, value) in enumerate(changes.items(), first)
        )
        self._file.query(
            f"UPDATE OR ABORT {self._name} SET {settings} WHERE {self._has(key, self._name)}",
            (*key, *changes.values()),
        )

    def insert(self, values: Mapping[int, Value], rowid: int | None = None) -> None:
        """Add a row; columns without a value take their defaults. Raises as `update`."""
        columns = [self._columns[position] for position in values]
        bindings = [*values.values()]
        if rowid is not None:
            columns.append(self._source.rowid or "")
            bindings.append(rowid)
        marks = ", ".join(_mark(value, number) for number, value in enumerate(bindings, 1))
        self._file.query(
            f"INSERT OR ABORT INTO {self._name} ({', '.join(columns)}) VALUES ({marks})",
            tuple(bindings),
        )

    def record(self, key: Key, before: Row | None, after: Row | None) -> None:
        """Append the event of a change that was made, and bring the mirror up to it."""
        if after is not None:
            op = Op.INSERT if before is None else Op.UPDATE
            self._log(op, range(len(after)), after)
        elif before is not None:
            self._log(Op.DELETE, self._table.key, key)
        if self._fill is not None:
            self._mirror(key)

    def _log(self, op: str, positions: Sequence[int], values: Row) -> None:
        marks = ", ".join(_mark(value, number) for number, value in enumerate(values, 1))
        columns = ", ".join(f"v{position}" for position in positions)
        self._file.query(
            f"INSERT INTO {CHANGELOG} (at, op, layout, origin, {columns}) VALUES"
            f" (julianday('now'), '{op}', {self._layout}, {REVERSE_FLOW}, {marks})",
            values,
        )

    def _mirror(self, key: Key) -> None:
        mirror = mirror_name(self._layout)
        is_entry = " AND ".join(f"k{i} IS {_mark(v, i + 1)}" for i, v in enumerate(key))
        self._file.query(f"DELETE FROM {mirror} WHERE {is_entry}", key)
        self._file.query(f"{self._fill} AND {self._has(key)}", key)

    def _has(self, key: Key, alias: str = ROW) -> str:
        """The condition that a row has exactly this key, whose values are the first bindings.

        As the key's index compares, so that it is used; and then byte for byte.
        """
        conditions = []
        for number, (position, value) in enumerate(zip(self._table.key, key, strict=True), 1):
            column = self._table.columns[position]
            own, mark = f"{alias}.{self._columns[position]}", _mark(value, number)
            conditions.append(f"{own} COLLATE {column.collation} IS {mark}")
            if column.collation != "BINARY":
                conditions.append(f"{own} COLLATE BINARY IS {mark}")
            if column.affinity == "BLOB":
                conditions.append(f"typeof({own}) = typeof({mark})")
        return " AND ".join(conditions)


def exact(key: Iterable[Value]) -> tuple[tuple[type, Value], ...]:
    """What is equal only for keys of the same storage classes."""
    return tuple((type(value), value) for value in key)


def _mark(value: Value, number: int) -> str:
    # A text that is not valid in the file's encoding can only be bound as the bytes that it has.
    return f"CAST(?{number} AS TEXT)" if isinstance(value, UndecodableText) else f"?{number}"
