"""The types of columns whose declaration asks for less than SQLite would let them hold.

DATE, BOOLEAN or DECIMAL(10,2) are promises that SQLite does not keep, and a column without a type
promises nothing. A sample could miss the one value in the middle that breaks the promise, at which
the copy would stop later; so every value is looked at before the target is made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.errors import SchemaMoved, SourceBusy
from cdc.mapping.defaults import Choice
from cdc.mapping.types import TargetType
from cdc.schema import Row
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import quote
from cdc.sqlite.order import fill_order
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import TableWalk

READ_VALUES: Final = 100_000
"""Values (rows times columns) in one read, at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """How to look at all rows of a table: for how long SQLite's lock may be held at a time, in
    seconds, and whether to give up.
    """

    lock_bound: float
    stopped: Callable[[], bool] = lambda: False


def fitting_types(
    file: SourceFile, source: SourceTable, positions: Sequence[int], look: Look
) -> Mapping[int, TargetType]:
    """For each of these columns, by position, the first type to try that takes all its values.

    Raises SchemaMoved where the schema changes meanwhile, SourceBusy where it was given up.
    """
    table = source.table
    choices = {at: Choice(table.columns[at], in_key=at in table.key) for at in positions}
    names = [
        f"_cdc_t.{source.rowid}"
        if table.rowid_key and at == 0
        else f"_cdc_t.{quote(table.columns[at].name)}"
        for at in positions
    ]
    # Not by key: a key may be NULL, which no place can lie behind.
    walk = TableWalk(file, source, order=fill_order(source), expressions=names)
    bound = Bound(look.lock_bound / 2, max(1, READ_VALUES // max(1, len(names))))
    with file.reading():
        schema_version = file.schema_version
    place: Row | None = None
    last = not choices
    while not last and not all(choice.settled for choice in choices.values()):
        if look.stopped():
            raise SourceBusy(f"Told to stop while looking through {source.name} of {file.path}.")
        with file.reading():
            if file.schema_version != schema_version:
                raise SchemaMoved(f"The schema of {file.path} changed.")
            stretch = walk.read(place, bound)
        columns = zip(*stretch.rows, strict=True)
        for choice, values in zip(choices.values(), columns, strict=False):  # none without rows
            choice.add(values)
        place, last = stretch.place, stretch.last
    return {at: choice.type for at, choice in choices.items()}
