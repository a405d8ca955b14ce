"""A row on its way from one SQLite file into another: what is read of it, and what is written."""

from dataclasses import dataclass

from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.order import fill_order
from cdc.sqlite.rows import Bound, Take
from cdc.sqlite.walk import Stretch, TableWalk


@dataclass(frozen=True, slots=True)
class RowForm:
    """The rows of one table as they are transferred.

    `terms` are what is read, on `_cdc_t`, and `columns` what is written. Where the rowid is none of
    the columns and yet there, it comes first (`carries_rowid`). Columns that SQLite computes are
    left out. `key` says where among the values the table's key is.
    """

    source: SourceTable
    terms: tuple[str, ...]
    columns: tuple[str, ...]
    key: tuple[int, ...]
    carries_rowid: bool

    @property
    def name(self) -> str:
        return self.source.name

    def values(self, row: Row) -> Row:
        """A row of all the table's columns, as an event has it, without what is not written."""
        columns = self.source.table.columns
        return tuple(row[i] for i, column in enumerate(columns) if not column.generated)

    def walk(self, file: SourceFile) -> "RowWalk":
        return RowWalk(file, self)


def form_of(source: SourceTable) -> RowForm:
    """The form of a table's rows."""
    table = source.table
    names = [
        column.name if table.rowid_key and i == 0 else quote(column.name)
        for i, column in enumerate(table.columns)
        if not column.generated
    ]
    carries_rowid = source.rowid is not None and not table.integer_key
    if carries_rowid:
        names.insert(0, source.rowid or "")
    places = {
        i: place
        for place, i in enumerate(
            (i for i, column in enumerate(table.columns) if not column.generated),
            int(carries_rowid),
        )
    }
    return RowForm(
        source,
        tuple(f"_cdc_t.{name}" for name in names),
        tuple(names),
        tuple(places[i] for i in table.key),
        carries_rowid,
    )


class RowWalk:
    """Reads a table's rows in their form, by rowid where there is one, in short reads."""

    def __init__(self, file: SourceFile, form: RowForm) -> None:
        order = fill_order(form.source)
        self._walk = TableWalk(file, form.source, order=order, expressions=form.terms)
        self.estimated_rows = self._walk.estimated_rows

    def read(self, after: Row | None, bound: Bound, take: Take | None = None) -> Stretch:
        """The next rows behind the place `after`; for use within a read transaction."""
        return self._walk.read(after, bound, take)
