"""Comparing two tables at rest, row by row and bit by bit.

Nothing may write to either side meanwhile. One table at a time is held in memory.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from psycopg import sql

from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated
from cdc.proof.literals import parse_literal
from cdc.schema import Key, Row, UndecodableText, Value
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.rows import Bound

EXAMPLES: Final = 5
CHUNK: Final = Bound(seconds=0.025, rows=20_000)

Canonical = tuple[str, Any]
"""A value in the form that is compared: its storage class, and its bits or digits."""


@dataclass(slots=True)
class Comparison:
    """What came out for one table: `rows` in SQLite, and how many keys are not as they should be.

    `quarantined` rows are missing by rights, as are `dropped` ones, which the operator has given
    up. A key of the quarantine that has a row in the target all the same counts as extra. `stale`
    are entries whose row is gone from SQLite.
    `examples` name the first few: (what, key, SQLite's row or None, PostgreSQL's row or None).
    """

    table: str
    rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    quarantined: int = 0
    dropped: int = 0
    stale: int = 0
    examples: list[tuple[str, Any, Any, Any]] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not (self.missing or self.extra or self.different or self.stale)

    def set_aside(self, key: Any, found: tuple[Canonical, ...] | None, *, dropped: bool) -> None:
        """Count a key of the quarantine, which must not have had a row in the target."""
        if found is not None:
            self.extra += 1
            self.note("extra", key, None, found)
        elif dropped:
            self.dropped += 1
        else:
            self.quarantined += 1

    def note(self, what: str, key: Any, ours: Any, theirs: Any) -> None:
        """Keep an example, as long as there are few."""
        if len(self.examples) < EXAMPLES:
            self.examples.append((what, key, ours, theirs))


def compare_table(
    file: SourceFile,
    source: SourceTable,
    conn: Connection,
    target: MappedTable,
    quarantined: Mapping[Key, bool],
) -> Comparison:
    """Compare every row of a SQLite table with every row of its target.

    `quarantined` are the keys in the quarantine, each with whether it was dropped.
    """
    result = Comparison(source.name)
    entries = set(quarantined)
    key, positions = target.key_at, target.positions
    theirs = {tuple(row[i] for i in key): row for row in _target_rows(conn, target)}
    for row in _source_rows(file, source):
        result.rows += 1
        canonical = tuple(of_sqlite(row[i]) for i in positions)
        identity = tuple(canonical[i] for i in key)
        found = theirs.pop(identity, None)
        own_key = tuple(row[i] for i in target.source.key)
        if own_key in quarantined:
            entries.discard(own_key)
            result.set_aside(identity, found, dropped=quarantined[own_key])
        elif found is None:
            result.missing += 1
            result.note("missing", identity, canonical, None)
        elif found != canonical:
            result.different += 1
            result.note("different", identity, canonical, found)
    result.extra += len(theirs)
    result.stale = len(entries)
    for identity, left in theirs.items():
        result.note("extra", identity, None, left)
    return result


def of_sqlite(value: Value) -> Canonical:
    """The canonical form of a SQLite value."""
    match value:
        case None:
            return ("null", None)
        case int():
            return ("integer", value)
        case float():
            return ("real", struct.pack(">d", value))
        case str():
            return ("text", value.encode())
        case UndecodableText():
            return ("text", bytes(value))
        case bytes():
            return ("blob", value)


def _source_rows(file: SourceFile, source: SourceTable) -> Iterator[Row]:
    reader = ChunkReader(file, source)
    place: Row | None = None
    while True:
        with file.reading():
            chunk = reader.read(place, CHUNK)
        yield from chunk.rows
        if chunk.last:
            return
        place = chunk.place


def _target_rows(conn: Connection, target: MappedTable) -> Iterator[tuple[Canonical, ...]]:
    columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in target.columns)
    query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(target.schema, target.name))
    readers = [_READERS[column.type.name] for column in target.columns]
    with (
        translated(f"read {target.schema}.{target.name}"),
        conn.transaction(),
        conn.cursor(name="cdc_compare", binary=True) as cursor,
    ):
        cursor.itersize = 10_000
        cursor.execute(query)
        for row in cursor:
            yield tuple(
                ("null", None) if value is None else read(value)
                for read, value in zip(readers, row, strict=True)
            )


def _of_numeric(value: Decimal) -> Canonical:
    # An integral number that fits is an integer: no real of that kind is let into a numeric.
    if value.is_finite() and value == value.to_integral_value() and -(2**63) <= value < 2**63:
        return ("integer", int(value))
    return ("real", struct.pack(">d", float(value)))


_READERS: Final[dict[str, Callable[[Any], Canonical]]] = {
    "bigint": lambda value: ("integer", value),
    "double precision": lambda value: ("real", struct.pack(">d", value)),
    "text": lambda value: ("text", value.encode()),
    "bytea": lambda value: ("blob", bytes(value)),
    "numeric": _of_numeric,
    "literal": lambda value: of_sqlite(parse_literal(value)),
}
