"""The sequences behind the keys of target tables: what numbers they give once others write."""

from collections.abc import Iterable

from psycopg import sql

from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated


def of_tables(conn: Connection, tables: Iterable[MappedTable]) -> dict[str, str]:
    """The sequence of each table's key, by the table's name in SQLite; only of those that have one.

    The names of the sequences are valid in SQL as they stand.
    """
    found = {}
    with translated("look for the sequences"):
        for table in tables:
            if len(table.key) != 1:
                continue
            name = sql.Identifier(table.schema, table.name).as_string(conn)
            row = conn.execute(
                "SELECT pg_get_serial_sequence(%s, %s)", (name, table.key_columns[0].name)
            ).fetchone()
            if row is not None and row[0] is not None:
                found[table.source.name] = str(row[0])
    return found


def last_values(conn: Connection, sequences: Iterable[str]) -> dict[str, int]:
    """The last number that each sequence has given; none of one that has given none."""
    values = {}
    with translated("read the sequences"):
        for sequence in sequences:
            row = conn.execute(
                "SELECT pg_sequence_last_value(%s::regclass)", (sequence,)
            ).fetchone()
            if row is not None and row[0] is not None:
                values[sequence] = int(row[0])
    return values
