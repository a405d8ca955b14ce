"""What a SQLite file holds: its tables, their keys, and the unique sets that REPLACE acts on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from cdc.constraints import NO_CONSTRAINTS, Constraints
from cdc.errors import CaptureRefused, SchemaMoved
from cdc.schema import Affinity, Column, Table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.constraints import constraints
from cdc.sqlite.ddl import index_definition
from cdc.sqlite.names import is_own, quote

BUILTIN_COLLATIONS: Final = frozenset(("BINARY", "NOCASE", "RTRIM"))
ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")


@dataclass(frozen=True, slots=True)
class UniqueTerm:
    """One term of a unique index: a column's name, or an expression's text, and its collation.

    An expression has no affinity: SQLite stores what it gives as it is.
    """

    collation: str
    affinity: Affinity = "BLOB"
    column: str | None = None
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class UniqueSet:
    """Values that no two rows may share: a row that takes them can evict the row that has them.

    `predicate` is the WHERE clause of a partial index. The rowid of a table whose key is declared
    on other columns is such a set too. The first set of a table may be its identity: what SQLite
    finds a row by, where that is not the very key.
    """

    terms: tuple[UniqueTerm, ...]
    predicate: str | None = None
    is_identity: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A foreign key that acts on the rows of `table` when the row that they refer to goes.

    `columns` pairs each of its columns with the column of the parent that it refers to.
    """

    table: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table of a file as capture needs it: `rowid` is a name that reaches its rowid, if any.

    `utf8` is the file's encoding: in any other one SQLite sorts texts by other bytes.
    """

    table: Table
    unique_sets: tuple[UniqueSet, ...]
    rowid: str | None
    children: tuple[Child, ...] = ()
    constraints: Constraints = NO_CONSTRAINTS
    utf8: bool = True

    @property
    def name(self) -> str:
        return self.table.name


def table_names(file: SourceFile) -> list[str]:
    """The ordinary tables of the file: no views, no virtual tables, none of SQLite's or ours."""
    rows = file.query(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name"
    )
    return [name for (name,) in rows if not name.lower().startswith("sqlite_") and not is_own(name)]


def statements(file: SourceFile, name: str) -> tuple[str, ...]:
    """The statements that make a table, first, and its indexes."""
    rows = file.query(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type IN ('table', 'index')"
        " AND sql IS NOT NULL ORDER BY type <> 'table', rowid",
        (name,),
    )
    return tuple(sql for (sql,) in rows)


def uncaptured(file: SourceFile) -> list[tuple[str, str]]:
    """What is there and is not captured: (name, kind), kind one of virtual, shadow and view."""
    return list(
        file.query(
            "SELECT name, type FROM pragma_table_list WHERE schema = 'main'"
            " AND type IN ('virtual', 'shadow', 'view') ORDER BY name"
        )
    )


def source_table(file: SourceFile, name: str) -> SourceTable:
    """Introspect one table. Raises CaptureRefused where its rows could not be told apart, and
    SchemaMoved where there is no such table.
    """
    kind = file.query(
        "SELECT wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?", (name,)
    ).fetchone()
    if kind is None:
        raise SchemaMoved(f"Table {quote(name)} is not in {file.path} any more.")
    without_rowid, strict = kind
    info = list(
        file.query(
            'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1',
            (name,),
        )
    )
    indexes = list(
        file.query(
            'SELECT name, origin FROM pragma_index_list(?) WHERE "unique" = 1 ORDER BY name',
            (name,),
        )
    )
    rowid = None if without_rowid else _rowid_name([column for column, *_ in info])
    primary = next((index for index, origin in indexes if origin == "pk"), None)
    key_collations = _key_collations(file, primary) if primary else {}
    columns = tuple(
        Column(
            name=column,
            declared=declared,
            affinity=_affinity(declared, bool(strict)),
            collation=key_collations.get(column, "BINARY"),
            own_collation=file.collation(name, column),
            not_null=bool(not_null) or (bool(pk) and bool(without_rowid)),
            generated=hidden in (2, 3),
        )
        for column, declared, not_null, pk, hidden in info
    )
    key = tuple(i for _, i in sorted((row[3], i) for i, row in enumerate(info) if row[3]))
    integer_key = bool(key) and primary is None
    rowid_key = not key
    if rowid_key:
        if rowid is None:
            raise CaptureRefused(
                f"Table {quote(name)} of {file.path} has no key, and columns named"
                f" {', '.join(ROWID_NAMES)} hide its rowid.",
                hint="Exclude the table in the configuration, or give it a primary key.",
            )
        columns = (Column(rowid, "INTEGER", "INTEGER", not_null=True), *columns)
        key = (0,)
    table = Table(name, columns, key, rowid_key, integer_key or rowid_key, bool(without_rowid))
    _refuse_foreign_collations(file, table, set(key_collations.values()))
    unique_sets = tuple(_unique_sets(file, table, [index for index, _ in indexes], primary, rowid))
    children = tuple(_children(file, table, unique_sets))
    utf8 = file.query("PRAGMA encoding").get == "UTF-8"
    return SourceTable(table, unique_sets, rowid, children, constraints(file, name), utf8)


def _rowid_name(columns: list[str]) -> str | None:
    taken = {column.lower() for column in columns}
    return next((name for name in ROWID_NAMES if name not in taken), None)


def _affinity(declared: str, strict: bool) -> Affinity:
    """SQLite's rules for a column's affinity (https://www.sqlite.org/datatype3.html, 3.1)."""
    kind = declared.encode().upper().decode()  # only ASCII letters count
    if strict and kind == "ANY":
        return "BLOB"
    if "INT" in kind:
        return "INTEGER"
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in kind or not kind:
        return "BLOB"
    if any(word in kind for word in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"


def _key_collations(file: SourceFile, primary: str) -> dict[str, str]:
    return dict(
        file.query("SELECT name, upper(coll) FROM pragma_index_xinfo(?) WHERE key = 1", (primary,))
    )


def _refuse_foreign_collations(file: SourceFile, table: Table, collations: set[str]) -> None:
    for collation in sorted(collations - BUILTIN_COLLATIONS):
        raise CaptureRefused(
            f"A unique index of table {quote(table.name)} of {file.path} sorts by the collation"
            f" {collation}, which only the application defines.",
            hint="Exclude the table in the configuration.",
        )


def _unique_sets(
    file: SourceFile, table: Table, indexes: list[str], primary: str | None, rowid: str | None
) -> Iterator[UniqueSet]:
    key = {column.name for column in table.key_columns}
    # A key that compares more loosely than BINARY lets one row evict another key's row.
    exact_key = all(c.collation == "BINARY" and c.affinity != "BLOB" for c in table.key_columns)
    if rowid is not None and not table.integer_key:
        rowid_term = UniqueTerm("BINARY", "INTEGER", column=rowid)
        yield UniqueSet((rowid_term,), is_identity=True)
    for index in sorted(indexes, key=lambda index: index != primary):
        unique = _unique_set(file, table, index)
        _refuse_foreign_collations(file, table, {term.collation for term in unique.terms})
        exact = {term.column for term in unique.terms if term.collation == "BINARY"}
        if exact_key and key <= exact:
            continue  # whoever takes these values takes the key: no other key's row can go
        yield replace(unique, is_identity=index == primary and rowid is None)


def _unique_set(file: SourceFile, table: Table, index: str) -> UniqueSet:
    affinities = {column.name: column.affinity for column in table.columns}
    rows = list(
        file.query(
            "SELECT cid, name, upper(coll) FROM pragma_index_xinfo(?) WHERE key = 1", (index,)
        )
    )
    sql = file.query(
        "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", (index,)
    ).get
    definition = index_definition(sql) if sql else None
    terms = tuple(
        UniqueTerm(collation, affinities[name], column=name)
        if cid >= 0
        else UniqueTerm(collation, expression=definition.terms[i] if definition else None)
        for i, (cid, name, collation) in enumerate(rows)
    )
    return UniqueSet(terms, definition.predicate if definition else None)


def _children(
    file: SourceFile, table: Table, unique_sets: tuple[UniqueSet, ...]
) -> Iterator[Child]:
    """The foreign keys that act on other rows when a row of this table goes, by any REPLACE."""
    names = {_folded(column.name): column.name for column in table.columns}
    keys: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for child, number, own, referred, place in file.once(_acting).get(_folded(table.name), ()):
        # Without a list of columns, the parent's key is meant.
        column = (
            names.get(_folded(referred))
            if referred is not None
            else dict(enumerate(c.name for c in table.key_columns)).get(place)
        )
        if column is not None:
            keys.setdefault((child, number), []).append((own, column))
    unique = [{term.column for term in each.terms} for each in unique_sets if not each.predicate]
    key: set[str | None] = {column.name for column in table.key_columns}
    for (child, _), columns in keys.items():
        # What refers to no key and to no unique values is no foreign key to SQLite either.
        if any(each <= {column for _, column in columns} for each in (key, *unique)):
            yield Child(child, tuple(columns))


def _acting(file: SourceFile) -> dict[bytes, list[tuple[str, int, str, str | None, int]]]:
    """The columns of the foreign keys that act on rows, by the folded name of their parent."""
    found: dict[bytes, list[tuple[str, int, str, str | None, int]]] = {}
    for parent, *column in file.query(
        'SELECT f."table", t.name, f.id, f."from", f."to", f.seq'
        " FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS f"
        " WHERE t.schema = 'main' AND t.type = 'table'"
        " AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
        " ORDER BY t.name, f.id, f.seq"
    ):
        found.setdefault(_folded(parent), []).append((*column,))
    return found


def _folded(name: str) -> bytes:
    """A name as SQLite compares names: only ASCII letters are folded."""
    return name.encode().lower()
