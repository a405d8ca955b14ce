"""Which events speak of one table: those of all its layouts, under earlier names, too."""

from collections.abc import Mapping
from dataclasses import dataclass

from cdc.constraints import folded
from cdc.schema import Table
from cdc.sqlite import layouts
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.layouts import Ancestor


@dataclass(frozen=True, slots=True)
class Shapes:
    """Every layout of a log, by id, and for each what it descends from, nearer ones first."""

    tables: Mapping[int, Table]
    ancestors: Mapping[int, tuple[Ancestor, ...]]

    @property
    def names(self) -> list[str]:
        """The tables that the log knows, in order."""
        return sorted({table.name for table in self.tables.values()})

    def newest(self, name: str) -> int | None:
        """The last layout of the table of this name, None where the log knows none."""
        found = (i for i, t in self.tables.items() if folded(t.name) == folded(name))
        return max(found, default=None)

    def of_table(self, name: str) -> dict[int, tuple[str, ...]]:
        """The layouts of a table by id, each with the names that its columns have now.

        A column that is gone keeps the name that it had.
        """
        found: dict[int, tuple[str, ...]] = {}
        for layout in sorted(self.tables, reverse=True):
            table = self.tables[layout]
            if folded(table.name) == folded(name):
                found.setdefault(layout, tuple(column.name for column in table.columns))
                for ancestor in self.ancestors[layout]:
                    found.setdefault(ancestor.layout, self._renamed(found[layout], ancestor))
        return found

    def _renamed(self, names: tuple[str, ...], ancestor: Ancestor) -> tuple[str, ...]:
        now = {then: name for name, then in zip(names, ancestor.columns, strict=True)}
        columns = self.tables[ancestor.layout].columns
        return tuple(now.get(i) or column.name for i, column in enumerate(columns))


def read_shapes(file: SourceFile) -> Shapes:
    """The layouts of a file's log; for use within a read transaction."""
    tables = layouts.read(file)
    return Shapes(tables, {layout: layouts.read_ancestors(file, layout) for layout in tables})
