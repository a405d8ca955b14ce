"""Finding the row of one key."""

from typing import Final

from cdc.schema import Key, Row, UndecodableText
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.rows import Bound, read_rows

ONE: Final = Bound(seconds=1.0, rows=1)


def row_of(file: SourceFile, source: SourceTable, key: Key) -> Row | None:
    """The row that has exactly this key, None without one; for use within a read transaction.

    Of several rows whose key is the same for being NULL, the first.
    """
    table = source.table
    columns = [
        f"_cdc_t.{column.name if table.rowid_key and i == 0 else quote(column.name)}"
        for i, column in enumerate(table.columns)
    ]
    # As the key's index compares, so that it is used; and then byte for byte, below.
    conditions = [
        f"{columns[position]} COLLATE {table.columns[position].collation} IS "
        + ("CAST(? AS TEXT)" if isinstance(value, UndecodableText) else "?")
        for position, value in zip(table.key, key, strict=True)
    ]
    rest = f"FROM {quote(table.name)} AS _cdc_t WHERE {' AND '.join(conditions)} LIMIT 1"
    rows = read_rows(file, columns, rest, key, ONE).rows
    return next((row for row in rows if tuple(row[i] for i in table.key) == key), None)
