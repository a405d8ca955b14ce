"""The numbers that SQLite has given to the rows of a table, or is about to."""

from collections.abc import Iterable, Mapping

from cdc.sqlite.captures import has_table
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import quote


def highest(file: SourceFile, keys: Mapping[str, str]) -> dict[str, int]:
    """The highest number ever used in each table; `keys` are the key columns, by table.

    That is what AUTOINCREMENT remembers of rows long gone, or the highest key that there is.
    Tables without any number above zero are left out. Within a transaction.
    """
    given = _given(file, keys)
    found = {}
    for table, column in keys.items():
        top = file.query(f"SELECT max({quote(column)}) FROM {quote(table)}").get
        number = max(given.get(table, 0), top if isinstance(top, int) else 0)
        if number > 0:
            found[table] = number
    return found


def remember(file: SourceFile, used: Mapping[str, int]) -> None:
    """Have AUTOINCREMENT go on behind these numbers, by table; in a write transaction.

    Tables that are not declared so need nothing: SQLite looks at the highest key itself.
    """
    for table in _autoincrement(file, used):
        query = "SELECT count(*) FROM sqlite_sequence WHERE name = ?"
        if file.query(query, (table,)).get:
            update = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
            file.query(update, (used[table], table))
        else:
            insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"
            file.query(insert, (table, used[table]))


def _given(file: SourceFile, tables: Iterable[str]) -> dict[str, int]:
    if not has_table(file, "sqlite_sequence"):
        return {}
    wanted = set(tables)
    rows = file.query("SELECT name, seq FROM sqlite_sequence")
    return {name: seq for name, seq in rows if name in wanted and isinstance(seq, int)}


def _autoincrement(file: SourceFile, tables: Iterable[str]) -> set[str]:
    if not has_table(file, "sqlite_sequence"):
        return set()
    wanted = set(tables)
    rows = file.query("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
    return {name for name, text in rows if name in wanted and "AUTOINCREMENT" in text.upper()}
