"""A SQLite file that a replay makes: its tables, the rows as they come, and how far that is.

Until it is finished it holds a table of ours with the place in the log that its rows are of, which
moves in the transactions that write them. Afterwards nothing of ours is left in it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import apsw
import orjson

from cdc.errors import DestinationTaken
from cdc.event import LAYOUT, OP, VALUES, Event, Op
from cdc.rebuilt import Standing
from cdc.schema import Key, Row, Table, UndecodableText, Value
from cdc.sqlite.connection import translated
from cdc.sqlite.names import quote

STATE: Final = "_cdc_replay"

_MAKE_STATE: Final = (
    f"CREATE TABLE {STATE}"
    " (log_id TEXT, seq INTEGER, digest BLOB, at REAL, chunks INTEGER, baselines TEXT, more TEXT)"
)


@dataclass(frozen=True, slots=True)
class MadeTable:
    """A table to be made. `ddl` makes it and then its indexes; without any it is made from the
    columns that its layout names.
    """

    layout: int
    table: Table
    ddl: tuple[str, ...] = ()


class RebuiltFile:
    """A file that is being made. Not for two threads at once.

    Raises DestinationTaken where there is a file that is none of these.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            raise _taken(path, "is not a file")
        with translated(path):
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            self._db = apsw.Connection(str(path), flags=flags)
        self._tables: dict[int, _Rows] = {}
        self._keyless: set[str] = set()
        try:
            with translated(path):
                self._is_begun = self._look()
        except BaseException:
            self._db.close()
            raise

    def _look(self) -> bool:
        self._db.execute("PRAGMA ignore_check_constraints = ON")
        names = [n for (n,) in self._db.execute("SELECT name FROM sqlite_schema").fetchall()]
        if names and STATE not in names:
            raise _taken(self.path, "is there already, and no replay has begun it")
        return bool(names)

    @property
    def standing(self) -> Standing | None:
        """How far it is, None where it is still empty."""
        if not self._is_begun:
            return None
        with translated(self.path):
            found = self._db.execute(
                f"SELECT log_id, seq, digest, at, chunks, baselines FROM {STATE}"
            ).fetchone()
        assert found is not None
        log_id, seq, digest, at, chunks, baselines = found
        numbers = {int(layout): number for layout, number in orjson.loads(baselines).items()}
        return Standing(log_id, seq, digest, at, chunks, numbers)

    def begin(
        self, tables: Sequence[MadeTable], standing: Standing, encoding: str | None
    ) -> list[str]:
        """Make the tables; what could not be made as it was, in words. `encoding` as of SQLite."""
        notes: list[str] = []
        with translated(self.path):
            if encoding is not None:
                self._db.execute(f"PRAGMA encoding = {quote(encoding)}")
            with self._transaction():
                indexes: list[str] = []
                plain: list[int] = []
                for each in tables:
                    made = _make(self._db, each)
                    if made is None:
                        plain.append(each.layout)
                    else:
                        indexes += each.ddl[1:]
                        if made:
                            notes.append(made)
                            plain.append(each.layout)
                more = _dump_more({"indexes": indexes, "plain": plain, "keyless": []})
                self._db.execute(_MAKE_STATE)
                place = (standing.log_id, standing.seq, standing.digest, standing.at, 0)
                baselines = orjson.dumps({str(k): v for k, v in standing.baselines.items()})
                self._db.execute(
                    f"INSERT INTO {STATE} VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*place, baselines.decode(), more),
                )
        self._is_begun = True
        return notes

    def use(self, tables: Iterable[MadeTable]) -> None:
        """Be ready to write these tables, which are there."""
        more = self._more()
        plain, self._keyless = more["plain"], set(more.get("keyless", ()))
        self._tables = {
            each.layout: _Rows(self._db, each.table, plain=each.layout in plain) for each in tables
        }

    def write(
        self, events: Sequence[Event], rows: tuple[int, Sequence[Row]] | None, standing: Standing
    ) -> None:
        """Write what events say, then the rows of a layout, and move on to `standing`."""
        with translated(self.path), self._transaction():
            known = len(self._keyless)
            for event in events:
                table = self._tables[event[LAYOUT]]
                if table.may_lack_key and None in table.key(event[VALUES:]):
                    self._keyless.add(table.name)
                if event[OP] in Op.GONE:
                    table.delete(table.key(event[VALUES:]))
                else:
                    table.write([event[VALUES : VALUES + table.width]])
            if rows is not None:
                layout, found = rows
                self._tables[layout].write(found)
            self._db.execute(
                f"UPDATE {STATE} SET seq = ?, digest = ?, at = ?, chunks = ?",
                (standing.seq, standing.digest, standing.at, standing.chunks),
            )
            if len(self._keyless) > known:
                more = self._more() | {"keyless": sorted(self._keyless)}
                self._db.execute(f"UPDATE {STATE} SET more = ?", (_dump_more(more),))

    def finish(self) -> list[str]:
        """Make the indexes, and take out what is ours; the indexes that could not be made, and the
        tables that may not be exact.
        """
        refused = [
            f"table {name} had rows whose key is NULL: no event tells them apart, and those that"
            " are here may not be those that there were"
            for name in sorted(self._keyless)
        ]
        with translated(self.path), self._transaction():
            for statement in self._more()["indexes"]:
                try:
                    self._db.execute(statement)
                except apsw.SQLError as error:
                    refused.append(f"an index could not be made ({error}): {statement}")
            self._db.execute(f"DROP TABLE {STATE}")
        return refused

    def _more(self) -> dict[str, Any]:
        with translated(self.path):
            text = self._db.execute(f"SELECT more FROM {STATE}").get
        found: dict[str, Any] = orjson.loads(text)
        return found

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _dump_more(more: Mapping[str, Any]) -> str:
    return orjson.dumps(more).decode()


def _taken(path: Path, what: str) -> DestinationTaken:
    return DestinationTaken(f"{path} {what}.", hint="Name a file that is not there yet.")


def _make(db: apsw.Connection, wanted: MadeTable) -> str | None:
    """Make a table by its own DDL ("") or, where that is not kept (None) or cannot be used (in
    words, why not), by its layout.
    """
    rows = _Rows(db, wanted.table, plain=False)
    if wanted.ddl:
        db.execute("SAVEPOINT made")
        try:
            db.execute(wanted.ddl[0])
            rows.compile()
        except apsw.SQLError as error:
            db.execute("ROLLBACK TO made")
            db.execute(layout_ddl(wanted.table))
            return f"table {wanted.table.name} is made without its own DDL ({error})"
        finally:
            db.execute("RELEASE made")
        return ""
    db.execute(layout_ddl(wanted.table))
    return None


def layout_ddl(table: Table) -> str:
    """The table that a layout tells of: columns and key, and nothing else."""
    columns = table.columns[1:] if table.rowid_key else table.columns
    parts = [
        " ".join(
            filter(
                None,
                (
                    quote(column.name),
                    column.declared,
                    "NOT NULL" if column.not_null else "",
                    "" if column.own_collation == "BINARY" else f"COLLATE {column.own_collation}",
                ),
            )
        )
        for column in columns
    ]
    if not table.rowid_key:
        key = ", ".join(f"{quote(c.name)} COLLATE {c.collation}" for c in table.key_columns)
        if table.integer_key:
            key = quote(table.key_columns[0].name)  # with a COLLATE it would not be the rowid
        parts.append(f"PRIMARY KEY ({key})")
    tail = " WITHOUT ROWID" if table.without_rowid else ""
    return f"CREATE TABLE {quote(table.name)} ({', '.join(parts)}){tail}"


class _Rows:
    """The statements that write one table. A row takes the place of every other that it cannot be
    beside: it did so in the file that the log is of.

    `plain`: made by its layout, so that no column is generated.
    """

    def __init__(self, db: apsw.Connection, table: Table, *, plain: bool) -> None:
        self._db = db
        self._table = table
        self.name = table.name
        self.may_lack_key = table.may_lack_key
        self.width = len(table.columns)
        self._names = [
            column.name if table.rowid_key and i == 0 else quote(column.name)
            for i, column in enumerate(table.columns)
        ]
        self._written = [i for i, c in enumerate(table.columns) if plain or not c.generated]
        self._all = len(self._written) == self.width
        self._insert = self._insertion(["?"] * len(self._written))

    def compile(self) -> None:
        """Raise APSW's error where a row could not be written or deleted."""
        nothing = (None,) * len(self._written)
        self._db.execute(f"EXPLAIN {self._insert}", nothing).close()
        key: Key = (None,) * len(self._table.key)
        self._db.execute(f"EXPLAIN {self._deletion(key)}", (*key, *key)).close()

    def key(self, values: Row) -> Key:
        return tuple(values[i] for i in self._table.key)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows, in this order."""
        if not self._all:
            rows = [tuple(row[i] for i in self._written) for row in rows]
        if any(isinstance(value, UndecodableText) for row in rows for value in row):
            for row in rows:
                self._db.execute(self._insertion([_mark(value) for value in row]), row)
        else:
            self._db.executemany(self._insert, rows)

    def delete(self, key: Key) -> None:
        """Delete the row of exactly this key."""
        self._db.execute(self._deletion(key), (*key, *key))

    def _insertion(self, marks: Iterable[str]) -> str:
        columns = ", ".join(self._names[i] for i in self._written)
        name = quote(self._table.name)
        return f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({', '.join(marks)})"

    def _deletion(self, key: Key) -> str:
        # As the key's index compares, so that it is used; and then byte for byte.
        loose, exact = [], []
        for position, value in zip(self._table.key, key, strict=True):
            column, name, mark = self._table.columns[position], self._names[position], _mark(value)
            loose.append(f"{name} COLLATE {column.collation} IS {mark}")
            exact.append(f"{name} COLLATE BINARY IS {mark}")
        conditions = " AND ".join([*loose, *exact])
        return f"DELETE FROM {quote(self._table.name)} WHERE {conditions}"


def _mark(value: Value) -> str:
    # A text that is not valid in the file's encoding can only be bound as the bytes that it has.
    return "CAST(? AS TEXT)" if isinstance(value, UndecodableText) else "?"
