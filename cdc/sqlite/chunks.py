"""Walking a table in chunks, each read in one short transaction together with the log's end."""

from dataclasses import dataclass

from cdc.schema import Row
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.log import Position
from cdc.sqlite.rows import Bound, Take
from cdc.sqlite.walk import TableWalk


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a table exactly as they were when the log ended at `end`, which is event `as_of`.

    They are all the rows behind the place `after` up to the place `place`, or when `last` to the
    end of the table or of the range that was asked for. Places are tuples in the table's chunk
    order. `rows` are those that were not handed over while reading; `count` counts all, and `size`
    is about how many bytes of text and blob there are.
    """

    rows: list[Row]
    count: int
    size: int
    after: Row | None
    place: Row | None
    end: Position
    last: bool

    @property
    def as_of(self) -> int:
        return self.end.seq


class ChunkReader:
    """Reads the chunks of one captured table of an open file."""

    def __init__(self, file: SourceFile, source: SourceTable) -> None:
        self._changelog = Changelog(file)
        self._walk = TableWalk(file, source)
        self._places = TableWalk(file, source, expressions=())
        self.order = self._walk.order
        self.newest = self._changelog.newest
        self.estimated_rows = self._walk.estimated_rows

    def read(
        self, after: Row | None, bound: Bound, take: Take | None = None, *, up_to: Row | None = None
    ) -> Chunk:
        """The next chunk behind the place `after`, of the range that ends with the place `up_to`
        or with the table; for use within a read transaction.

        With `take`, rows are handed to it while the next ones are read, as far as the bound allows.
        """
        end = self._changelog.end()
        found = self._walk.read_range(after, up_to, bound, take)
        return Chunk(found.rows, found.count, found.size, after, found.place, end, found.last)

    def skip(self, after: Row | None, bound: Bound) -> Row | None:
        """The place behind `after` up to which a range would take about as long to read as the
        bound says; None where the table has no more, or where SQL knows no range that ends there.
        For use within a read transaction.
        """
        passed = self._places.read(after, bound)
        place = passed.place
        return None if passed.last or place is None or None in place else place
