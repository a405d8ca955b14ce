"""The end of a live file's log, brought into a copy of the file and applied to the rows there."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cdc.errors import SourceReplaced
from cdc.event import LAYOUT, SEQ, Op
from cdc.schema import Row, Value
from cdc.sqlite.blueprint import SchemaObject
from cdc.sqlite.captures import Captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import CHANGELOG, quote
from cdc.sqlite.newfile import NewFile
from cdc.sqlite.rowform import RowForm
from cdc.sqlite.rows import Bound, read_rows
from cdc.sqlite.rowwriter import RowWriter, exact

NO_BOUND: Final = Bound(seconds=60.0, rows=100_000)
"""For the copy, which nobody waits for; reads in it still end before they fill the memory."""

PROVISIONAL_ROWID: Final = 2**62
"""From here on are the rowids of rows that an event has brought, which does not tell them."""

ExactKey = tuple[tuple[type, Value], ...]


class Tail:
    """Reads the events of `file` behind `seq` into the log of `copy`, in short reads.

    `kept` is the log's table where it is to stay in the copy; otherwise what is read goes with the
    connection. `check` raises where the file is not
    any more what is being copied; it is called within each read transaction.
    """

    def __init__(
        self,
        file: SourceFile,
        copy: NewFile,
        seq: int,
        bound: Bound,
        check: Callable[[], None],
        *,
        kept: SchemaObject | None,
    ) -> None:
        self._file = file
        self._copy = copy
        self._seq = seq
        self._bound = bound
        self._check = check
        with file.reading():
            self._changelog = Changelog(file)
            self.newest = self._changelog.newest
        if kept is not None:
            copy.make(kept)
        else:
            first, *others = self._changelog.columns
            columns = f"{first} INTEGER PRIMARY KEY, {', '.join(others)}"
            copy.query(f"CREATE TEMP TABLE {CHANGELOG} ({columns})")
        self._into = f"INSERT INTO {CHANGELOG} ({', '.join(self._changelog.columns)}) VALUES "

    def follow(self, up_to: int) -> set[int]:
        """Bring the events up to and with `up_to`; the layouts of those that have come.

        Raises SourceReplaced where the next one is not there any more.
        """
        layouts: set[int] = set()
        while self._seq < up_to:
            with self._file.reading():
                self._check()
                events = self._changelog.read(self._seq, self._bound, up_to=up_to).events
            if not events or events[0][SEQ] != self._seq + 1:
                raise SourceReplaced(
                    f"Event {self._seq + 1} of {self._file.path} was pruned before it was read.",
                    hint="Hold it back while the file is copied.",
                )
            self._copy.insert_many(self._into, events)
            self._seq = events[-1][SEQ]
            layouts.update(event[LAYOUT] for event in events)
        return layouts


class TailOf:
    """The part of the log that tells of one table, applied to the table's rows in the copy.

    Once it is `lost`, the log does not tell of it what there is to know, and nothing is done here.
    All rows that are there are, between two calls, those of one moment, though not all are there
    yet. So no two of them are at odds over unique values, if only all that go do so first.
    """

    def __init__(self, copy: NewFile, captured: Captured, form: RowForm, seq: int) -> None:
        self.lost = False
        self._touched = False
        self._copy = copy
        self._form = form
        self._layout = captured.layout
        self._seq = seq
        self._writer = RowWriter(copy, captured)
        self._rowid = PROVISIONAL_ROWID
        table = captured.source.table
        self._width = len(table.columns)
        self._key = table.key
        keys = [f"v{i}" for i in table.key]
        self._keys = keys
        self._by_key = ", ".join([*keys, *(f"typeof({key})" for key in keys)])

    def apply(self, up_to: int) -> None:
        """Bring the rows that are there to the moment at which the log ended with `up_to`."""
        if up_to > self._seq and not self.lost:
            kept = self._delete(up_to)
            if not self.lost:
                self._insert(up_to, kept)
            self._seq = up_to

    def add(self, rows: list[Row]) -> None:
        """Add rows that were read in the moment of those that are there."""
        if any(None in [row[i] for i in self._form.key] for row in rows):
            # Of rows without a key the log does not tell which is which.
            self.lost = True
        if self.lost:
            return
        if self._touched:
            # Some may be there by an event already; now they come with their own rowids.
            for row in rows:
                self._writer.delete(tuple(row[i] for i in self._form.key))
        self._copy.insert(self._form, rows)

    def settle_rowids(self) -> None:
        """Give the rows that an event has brought the rowids behind all others, in their order.

        As SQLite itself has done in the file, but for rows that were replaced or had others set.
        """
        if not self._form.carries_rowid or self._rowid == PROVISIONAL_ROWID:
            return
        name, rowid = quote(self._form.name), self._form.columns[0]
        highest = self._copy.query(
            f"SELECT coalesce(max({rowid}), 0) FROM {name} WHERE {rowid} <= {PROVISIONAL_ROWID}"
        ).get
        self._copy.query(
            f"UPDATE {name} SET {rowid} = {rowid} - {PROVISIONAL_ROWID} + ?"
            f" WHERE {rowid} > {PROVISIONAL_ROWID}",
            (highest,),
        )

    def _delete(self, up_to: int) -> dict[ExactKey, int]:
        """Delete the rows of all keys that the events tell of; the rowids of those that were only
        updated.
        """
        kept: dict[ExactKey, int] = {}
        # Of the operations, only an update leaves a row where it is, and it is the last by name.
        columns = ["max(seq)", *self._keys, "min(op)"]
        rest = f"GROUP BY {self._by_key} HAVING max(seq) > ? ORDER BY max(seq)"
        for _, *key_values, op in self._found(columns, up_to, rest):
            key = tuple(key_values)
            if None in key:
                self.lost = True
                break
            self._touched = True
            if self._form.carries_rowid and op == Op.UPDATE:
                rowid = self._writer.rowid(key)
                if rowid is not None:
                    kept[exact(key)] = rowid
            self._writer.delete(key)
        return kept

    def _insert(self, up_to: int, kept: Mapping[ExactKey, int]) -> None:
        """Add the last image of each key that has a row at the end of the events."""
        gone = ", ".join(f"'{op}'" for op in sorted(Op.GONE))
        last = f"SELECT max(seq) FROM {CHANGELOG} WHERE {self._within(up_to)}"
        rest = f"AND seq IN ({last} GROUP BY {self._by_key}) AND op NOT IN ({gone}) AND seq > ?"
        columns = ["seq", *(f"v{i}" for i in range(self._width))]
        for _, *values in self._found(columns, up_to, f"{rest} ORDER BY seq"):
            row = self._form.values(tuple(values))
            if self._form.carries_rowid:
                rowid = kept.get(exact(values[i] for i in self._key))
                if rowid is None:
                    self._rowid = rowid = self._rowid + 1
                row = (rowid, *row)
            self._copy.insert(self._form, [row])

    def _within(self, up_to: int) -> str:
        return f"seq > {self._seq} AND seq <= {up_to} AND layout = {self._layout}"

    def _found(self, columns: list[str], up_to: int, rest: str) -> Iterator[Row]:
        """Rows of the copied log; the first column, the binding of `rest`, grows."""
        place: Row = (self._seq,)
        complete = False
        while not complete:
            found = read_rows(
                self._copy,
                columns,
                f"FROM {CHANGELOG} WHERE {self._within(up_to)} {rest}",
                place,
                NO_BOUND,
            )
            yield from found.rows
            complete = found.complete
            place = found.rows[-1][:1] if found.rows else place
