"""What a batch and a chunk do to the target: as read from SQLite, and made ready to be sent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from cdc.mapping.table import MappedTable
from cdc.postgres.wire import Packed, PackedArray
from cdc.schema import Key, Row


@dataclass(frozen=True, slots=True)
class Advance:
    """How a transaction moves the position of its source.

    `digest` is that of the event at `to_seq` and `at` its Julian day (None leaves the one before).
    `boundary` says that the source had no transaction open across `to_seq`. `epoch` is the gate's,
    as read when the applier started. `from_seq` and `to_seq` may be equal. `rewritten` are keys,
    each with its table, whose rows are written without an event: what was proven of them before
    counts no more.
    """

    source: str
    from_seq: int
    to_seq: int
    digest: bytes | None
    at: float | None
    boundary: bool
    epoch: int
    rewritten: Sequence[tuple[str, Key]] = ()


@dataclass(frozen=True, slots=True)
class Aside:
    """A whole row that its table cannot hold, and why: it goes into the quarantine.

    `position` is that of the value at fault, None where the row as a whole is. `seq` is the row's
    event, or where the log ended when the row was read.
    """

    table: MappedTable
    row: Row
    seq: int
    position: int | None
    reason: str

    @property
    def key(self) -> Key:
        return tuple(self.row[i] for i in self.table.key)


@dataclass(slots=True)
class TableChanges:
    """What a batch does to one table: at most one entry per key, whole rows in column order.

    `unheld` are keys that are gone from SQLite and that the target could never hold. `seqs` gives
    the seq of each row of `upserts`, for those that do not fit.
    """

    upserts: list[Row] = field(default_factory=list)
    deletes: list[Key] = field(default_factory=list)
    unheld: list[Key] = field(default_factory=list)
    seqs: Callable[[], Sequence[int]] = tuple

    def written(self, table: MappedTable) -> Iterator[Key]:
        """The keys of the rows that are written."""
        return zip(*(map(itemgetter(i), self.upserts) for i in table.key), strict=True)

    def keys(self, table: MappedTable) -> list[Key]:
        """All keys that the changes speak of."""
        return [*self.written(table), *self.deletes, *self.unheld]


@dataclass(frozen=True, slots=True)
class Ready:
    """The changes of one table, ready to be sent.

    A few rows: `keys` are those whose rows go, `rows` one array per column. Many: `keys` are those
    of all rows that go or are written anew, `rows` is Packed. Either is empty where there are none.
    `aside` are the rows that do not fit, `suspects` the keys that may be in the quarantine, and
    `fit` what `keys` and `rows` were made from, where it is kept.
    """

    keys: Sequence[PackedArray]
    rows: Packed | Sequence[PackedArray]
    aside: Sequence[Aside] = ()
    suspects: Sequence[Key] = ()
    fit: TableChanges | None = None


Changes = Sequence[tuple[MappedTable, TableChanges | Ready]]
"""The changes of a batch, table by table."""


Prepared = Sequence[tuple[MappedTable, Ready]]
"""The same, ready to be sent."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of one key range of a table, as they are in SQLite at the batch's `to_seq`.

    The range is (after_key, last_key]. `after_key` None is the beginning; `last_key` None is the
    end, and then the table goes live. `fresh`: the range may hold rows only because events ran
    ahead; otherwise it may hold anything, and what is not in `rows` is deleted. `more`: others
    follow, although last_key is None, since the target can hold no key up to this one's end.
    """

    table: MappedTable
    rows: Packed | list[Row]
    after_key: Key | None
    last_key: Key | None
    fresh: bool
    more: bool = False

    @property
    def last(self) -> bool:
        """Whether the copy is complete with this chunk."""
        return self.last_key is None and not self.more
