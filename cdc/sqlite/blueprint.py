"""What a SQLite file is besides its rows: every object of its schema, and what its header says."""

from dataclasses import dataclass

from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import CHANGELOG, is_own


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """A row of sqlite_schema. `stored`: it has pages of its own, as virtual tables have not."""

    kind: str
    name: str
    table: str
    sql: str
    stored: bool

    @property
    def is_table(self) -> bool:
        """Whether it is a table that holds its rows itself."""
        return self.kind == "table" and self.stored

    @property
    def own(self) -> bool:
        """Whether it belongs to the capture: made by it, or standing on what it has made."""
        return is_own(self.name) or is_own(self.table)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """`objects` are in the order of sqlite_schema, by which the newest trigger runs first; those
    that SQLite makes by itself, for a key or a UNIQUE, are left out.
    """

    objects: tuple[SchemaObject, ...]
    page_size: int
    encoding: str
    auto_vacuum: int
    application_id: int
    user_version: int
    schema_version: int

    def tables(self) -> list[SchemaObject]:
        """The tables that hold rows of their own, without the changelog."""
        return [each for each in self.objects if each.is_table and each.name != CHANGELOG]


def read(file: SourceFile) -> Blueprint:
    """The blueprint of a file at this moment; for use within a transaction."""
    rows = file.query(
        "SELECT type, name, tbl_name, sql, rootpage <> 0 FROM sqlite_schema"
        " WHERE sql IS NOT NULL ORDER BY rowid"
    )
    objects = tuple(
        SchemaObject(kind, name, table, sql, bool(stored))
        for kind, name, table, sql, stored in rows
    )
    return Blueprint(
        objects=objects,
        page_size=file.query("PRAGMA page_size").get,
        encoding=file.query("PRAGMA encoding").get,
        auto_vacuum=file.query("PRAGMA auto_vacuum").get,
        application_id=file.query("PRAGMA application_id").get,
        user_version=file.query("PRAGMA user_version").get,
        schema_version=file.schema_version,
    )
