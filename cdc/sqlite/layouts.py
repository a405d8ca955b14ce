"""The layouts of a log: what the values of an event were at the time, kept in the file itself."""

from dataclasses import dataclass
from typing import Any

import orjson

from cdc.schema import Column, Table
from cdc.sqlite.connection import SourceFile


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An earlier layout of a table: `columns` says for each of its columns now where it was then,
    None where there was none.
    """

    layout: int
    columns: tuple[int | None, ...]

    def before(self, older: "Ancestor") -> "Ancestor":
        """`older`, an ancestor of this one, as an ancestor of this one's descendant.

        >>> Ancestor(2, (0, None, 1)).before(Ancestor(1, (1, 0)))
        Ancestor(layout=1, columns=(1, None, 0))
        """
        columns = tuple(None if i is None else older.columns[i] for i in self.columns)
        return Ancestor(older.layout, columns)


def dump(table: Table, ancestors: tuple[Ancestor, ...] = ()) -> str:
    """A table's shape and descent as the text that `_cdc_layout.definition` holds."""
    shape = orjson.loads(orjson.dumps(table))
    return orjson.dumps(shape | {"ancestors": ancestors}).decode()


def load(definition: str) -> Table:
    """The table that `dump` was given.

    >>> table = Table("t", (Column("id", "INTEGER", "INTEGER"),), (0,), integer_key=True)
    >>> load(dump(table)) == table
    True
    """
    fields = _fields(definition)
    columns = tuple(Column(**column) for column in fields.pop("columns"))
    return Table(columns=columns, key=tuple(fields.pop("key")), **fields)


def _fields(definition: str) -> dict[str, Any]:
    return {k: v for k, v in orjson.loads(definition).items() if k != "ancestors"}


def add(file: SourceFile, table: Table, ancestors: tuple[Ancestor, ...] = ()) -> int:
    """Record a new layout within a write transaction; returns its id, which is never used again."""
    file.query(
        "INSERT INTO _cdc_layout (name, definition) VALUES (?, ?)",
        (table.name, dump(table, ancestors)),
    )
    return int(file.query("SELECT max(id) FROM _cdc_layout").get)


def read(file: SourceFile) -> dict[int, Table]:
    """Every layout of the log, by id."""
    return {layout: load(text) for layout, text in read_definitions(file).items()}


def read_definitions(file: SourceFile) -> dict[int, str]:
    """The same, as the text that `load` reads."""
    return dict(file.query("SELECT id, definition FROM _cdc_layout"))


def read_ancestors(file: SourceFile, layout: int) -> tuple[Ancestor, ...]:
    """All that a layout descends from, nearer ones first."""
    found = list(_parents(file, layout))
    for ancestor in found:  # grows while it is walked
        found += [ancestor.before(older) for older in _parents(file, ancestor.layout)]
    return tuple(found)


def _parents(file: SourceFile, layout: int) -> tuple[Ancestor, ...]:
    definition = file.query("SELECT definition FROM _cdc_layout WHERE id = ?", (layout,)).get
    kept = orjson.loads(definition).get("ancestors", ())
    return tuple(Ancestor(each["layout"], tuple(each["columns"])) for each in kept)
