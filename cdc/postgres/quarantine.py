"""The quarantine: rows that the target cannot hold, kept whole and exact until they can be.

A quarantined key has no row in its target table. Entries come and go in the transactions that
apply changes; only the operator's `drop` marks them from outside.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from psycopg import sql
from psycopg.rows import kwargs_row

from cdc.errors import QuarantineFull
from cdc.mapping.table import MappedTable
from cdc.postgres.changes import Aside
from cdc.postgres.connection import Connection
from cdc.postgres.keys import dump_key, load_key
from cdc.postgres.translate import translated
from cdc.schema import Key, Value

SINCE_VERSION: Final = 2
"""The version of the schema cdc that brought the quarantine."""

MOST_ROWS: Final = 100_000
"""Of one source, unless the configuration says otherwise."""

PLACE: Final = sql.Identifier("cdc", "quarantine")

_DELETE: Final = "DELETE FROM {} WHERE id = ANY (%s)"
_PUT: Final = (
    "INSERT INTO {}"
    " (id, source, name, key, seq, position, column_name, reason, columns, image)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (id) DO UPDATE SET (key, seq, position, column_name, reason, columns, image,"
    " set_aside_at, dropped_at) = ROW (excluded.key, excluded.seq, excluded.position,"
    " excluded.column_name, excluded.reason, excluded.columns, excluded.image,"
    " clock_timestamp(), NULL)"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One quarantined row, but for its values; see `read_row`.

    `position` and `column_name` are None where no single value is at fault. `dropped_at` says since
    when the operator has given it up.
    """

    id: str
    source: str
    name: str
    key: Key
    seq: int
    position: int | None
    column_name: str | None
    reason: str
    set_aside_at: datetime
    dropped_at: datetime | None


class Quarantine:
    """The quarantined keys of one source, as the only one who writes them knows them.

    `takes_all` is on_error = "quarantine": without it only misfits of columns that say so
    themselves are taken. `place` is the table that it is kept in. While it is empty no batch is
    slowed by it. Its keys are in memory: `most` of them at most.

    `suspects` is for whoever prepares batches, which may be a thread ahead: it holds every key that
    may be in the quarantine by the time that the batch is applied.
    """

    def __init__(
        self,
        source: str,
        entries: Iterable[tuple[str, Key]] = (),
        *,
        takes_all: bool,
        place: sql.Identifier = PLACE,
        most: int = MOST_ROWS,
    ) -> None:
        self.source = source
        self._delete = sql.SQL(_DELETE).format(place).as_bytes(None)
        self._put = sql.SQL(_PUT).format(place).as_bytes(None)
        self._takes_all = takes_all
        self._most = most
        self._held: dict[str, set[Key]] = {}
        for name, key in entries:
            self._held.setdefault(name, set()).add(key)
        self._suspects = {name: set(keys) for name, keys in self._held.items()}

    def holds(self, name: str, key: Key) -> bool:
        """Whether a key of the table `name` in SQLite is in the quarantine."""
        return key in self._held.get(name, ())

    @contextmanager
    def taking_back(self) -> Iterator[None]:
        """While rows of the quarantine are tried again: those that still do not fit stay in it."""
        before, self._takes_all = self._takes_all, True
        try:
            yield
        finally:
            self._takes_all = before

    def takes(self, table: MappedTable, position: int | None) -> bool:
        """Whether a row goes into the quarantine for the value at this position.

        None stands for the row as a whole, where no single value is at fault.
        """
        if position is None:
            return self._takes_all
        return self._takes_all or table.column(position).on_misfit == "quarantine"

    def takes_any(self, table: MappedTable) -> bool:
        """Whether any row of this table may go into the quarantine."""
        return self._takes_all or any(c.on_misfit == "quarantine" for c in table.columns)

    def suspect(self, asides: Iterable[Aside]) -> None:
        """Take note of keys that will be in the quarantine when their batch is applied."""
        for aside in asides:
            self._suspects.setdefault(aside.table.source.name, set()).add(aside.key)

    def suspects(self, table: MappedTable) -> frozenset[Key] | set[Key]:
        """The keys of a table that may be in the quarantine; empty as long as none has been."""
        return self._suspects.get(table.source.name, frozenset())

    def healed(
        self, table: MappedTable, suspects: Iterable[Key], asides: Iterable[Aside]
    ) -> set[Key]:
        """Which of the suspects leave the quarantine: those in it that are not set aside again."""
        held = self._held.get(table.source.name)
        return held.intersection(suspects) - {a.key for a in asides} if held else set()

    def record(
        self, conn: Connection, healed: Sequence[tuple[str, Key]], asides: Sequence[Aside]
    ) -> None:
        """Write what comes and goes, within the caller's transaction. Raises QuarantineFull."""
        self._check_room(healed, asides)
        if healed:
            ids = [entry_id(self.source, name, key) for name, key in healed]
            conn.execute(self._delete, (ids,))
        if asides:
            conn.cursor().executemany(self._put, [self._row(aside) for aside in asides])

    def committed(self, healed: Sequence[tuple[str, Key]], asides: Sequence[Aside]) -> None:
        """The transaction that `record` was part of is committed."""
        for name, key in healed:
            self._held[name].discard(key)
        for aside in asides:
            self._held.setdefault(aside.table.source.name, set()).add(aside.key)
        self.suspect(asides)  # those that were found only while they were written

    def _check_room(self, healed: Sequence[tuple[str, Key]], asides: Sequence[Aside]) -> None:
        added = {(a.table.source.name, a.key): a for a in asides}
        new = [aside for (name, key), aside in added.items() if not self.holds(name, key)]
        held = sum(map(len, self._held.values())) - len(healed)
        if new and held + len(new) > self._most:
            last = new[-1]
            raise QuarantineFull(
                f"{held + len(new):,} rows of {self.source} do not fit their target tables, and the"
                f" quarantine takes {self._most:,}; the last one, of table"
                f" {last.table.source.name}: {last.reason}",
                hint="so many are no accident: give the column another type in the configuration"
                " (cdc plan says which), or raise max_quarantined in [replication]",
            )

    def _row(self, aside: Aside) -> tuple[Any, ...]:
        source = aside.table.source
        column = None if aside.position is None else source.columns[aside.position].name
        return (
            entry_id(self.source, source.name, aside.key),
            self.source,
            source.name,
            dump_key(aside.key),
            aside.seq,
            aside.position,
            column,
            aside.reason,
            [c.name for c in source.columns],
            dump_key(aside.row),
        )


def entry_id(source: str, name: str, key: Key) -> str:
    """The id of a key's entry: the same for keys that are one key to SQLite.

    >>> entry_id("shop", "t", (1,)) == entry_id("shop", "t", (1.0,))
    True
    >>> entry_id("shop", "t", (1,)) == entry_id("shop", "t", ("1",))
    False
    """
    same = tuple(map(_whole, key))
    return blake2b(repr((source, name, dump_key(same))).encode(), digest_size=16).hexdigest()


def _whole(value: Value) -> Value:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**63:
        return int(value)
    return value


def read_keys(
    conn: Connection, source: str, place: sql.Identifier = PLACE
) -> list[tuple[str, Key]]:
    """The quarantined keys of a source, each with its table; dropped ones are among them."""
    query = sql.SQL("SELECT name, key FROM {} WHERE source = %s").format(place)
    with translated(f"read the quarantine of {source!r}"):
        rows = conn.execute(query.as_bytes(conn), (source,))
        return [(name, load_key(key)) for name, key in rows]


def entries(conn: Connection, source: str | None = None, table: str | None = None) -> list[Entry]:
    """The entries of a source and a table, or of all, in the order in which they came."""
    with translated("read the quarantine"), conn.cursor(row_factory=kwargs_row(_entry)) as cur:
        return cur.execute(
            "SELECT id, source, name, key, seq, position, column_name, reason, set_aside_at,"
            " dropped_at FROM cdc.quarantine"
            " WHERE (%(source)s::text IS NULL OR source = %(source)s)"
            " AND (%(table)s::text IS NULL OR lower(name) = lower(%(table)s))"
            " ORDER BY source, set_aside_at, id",
            {"source": source, "table": table},
        ).fetchall()


def read_row(conn: Connection, entry: Entry) -> dict[str, Value] | None:
    """The values of an entry's row by column; None where it has left the quarantine since."""
    with translated("read a quarantined row"):
        found = conn.execute(
            "SELECT columns, image FROM cdc.quarantine WHERE id = %s", (entry.id,)
        ).fetchone()
    return dict(zip(found[0], load_key(found[1]), strict=True)) if found else None


def counts(conn: Connection, source: str) -> dict[str, int]:
    """How many rows of each table are in the quarantine; those given up do not count."""
    with translated(f"count the quarantine of {source!r}"):
        rows = conn.execute(
            "SELECT name, count(*) FROM cdc.quarantine WHERE source = %s AND dropped_at IS NULL"
            " GROUP BY name",
            (source,),
        )
        return dict(rows.fetchall())


def drop(conn: Connection, ids: Sequence[str]) -> int:
    """Give these entries up; how many were not yet. They stay on record until their rows change."""
    with translated("drop entries of the quarantine"):
        return conn.execute(
            "UPDATE cdc.quarantine SET dropped_at = clock_timestamp()"
            " WHERE id = ANY (%s) AND dropped_at IS NULL",
            (list(ids),),
        ).rowcount


def _entry(*, key: str, **columns: Any) -> Entry:
    return Entry(key=load_key(key), **columns)
