"""The layouts of a log: what the values of an event were at the time, kept in the file itself."""

import orjson

from cdc.schema import Column, Table
from cdc.sqlite.connection import SourceFile


def dump(table: Table) -> str:
    """A table's shape as the text that `_cdc_layout.definition` holds."""
    return orjson.dumps(table).decode()


def load(definition: str) -> Table:
    """The table that `dump` was given.

    >>> table = Table("t", (Column("id", "INTEGER", "INTEGER"),), (0,), integer_key=True)
    >>> load(dump(table)) == table
    True
    """
    fields = orjson.loads(definition)
    columns = tuple(Column(**column) for column in fields.pop("columns"))
    return Table(columns=columns, key=tuple(fields.pop("key")), **fields)


def add(file: SourceFile, table: Table) -> int:
    """Record a new layout within a write transaction; returns its id, which is never used again."""
    file.query(
        "INSERT INTO _cdc_layout (name, definition) VALUES (?, ?)", (table.name, dump(table))
    )
    return int(file.query("SELECT max(id) FROM _cdc_layout").get)


def read(file: SourceFile) -> dict[int, Table]:
    """Every layout of the log, by id."""
    rows = file.query("SELECT id, definition FROM _cdc_layout")
    return {layout: load(definition) for layout, definition in rows}
