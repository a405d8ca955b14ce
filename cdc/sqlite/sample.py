"""A quick look at the values that a table really holds, since SQLite enforces no types."""

from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import TableWalk


def sample(file: SourceFile, source: SourceTable, bound: Bound) -> list[Row]:
    """Rows from both ends of the table, as many of each as the bound allows.

    For use within a read transaction.
    """
    first = TableWalk(file, source).read(None, bound)
    if first.last:
        return first.rows
    return first.rows + TableWalk(file, source, backwards=True).read(None, bound).rows
