"""Comparing two sides at rest, row by row and bit by bit: what tests hold against the proof.

Nothing may write to either side meanwhile. One table at a time is held in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import sql

from cdc.config import SourceConfig
from cdc.crossing.mapper import kept_mapping
from cdc.errors import TargetRefused
from cdc.mapping.table import MappedTable
from cdc.postgres import quarantine, state
from cdc.postgres.connection import Connection, Target
from cdc.postgres.translate import translated
from cdc.proof.canonical import Canonical, ColumnForms
from cdc.schema import Key, Row
from cdc.sqlite.captures import captured
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.rows import Bound

EXAMPLES: Final = 5
CHUNK: Final = Bound(seconds=0.025, rows=20_000)


@dataclass(slots=True)
class Comparison:
    """What came out for one table: `rows` in SQLite, and how many keys are not as they should be.

    `quarantined` rows are missing by rights, as are `dropped` ones, which the operator has given
    up. A key of the quarantine that has a row in the target all the same counts as extra. `stale`
    are entries whose row is gone from SQLite. `altered` counts values for which the configuration
    has another one stored.
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
    altered: int = 0
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
    key, forms = target.key_at, [ColumnForms(column) for column in target.columns]
    columns = list(zip(target.positions, forms, strict=True))
    theirs = {tuple(row[i] for i in key): row for row in _target_rows(conn, target, forms)}
    for row in _source_rows(file, source):
        result.rows += 1
        canonical = tuple(form.of_source(row[i]) for i, form in columns)
        result.altered += sum(form.altered(row[i]) for i, form in columns)
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


def _target_rows(
    conn: Connection, target: MappedTable, forms: Sequence[ColumnForms]
) -> Iterator[tuple[Canonical, ...]]:
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text" if form.as_text else "{}").format(sql.Identifier(column.name))
        for column, form in zip(target.columns, forms, strict=True)
    )
    query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(target.schema, target.name))
    with (
        translated(f"read {target.schema}.{target.name}"),
        conn.transaction(),
        conn.cursor(name="cdc_compare", binary=True) as cursor,
    ):
        cursor.itersize = 10_000
        cursor.execute(query)
        for row in cursor:
            yield tuple(form.of_target(value) for form, value in zip(forms, row, strict=True))


def compare_source(source: SourceConfig, target: Target) -> list[Comparison]:
    """Compare every captured table of a source with its target, row by row."""
    with target.lease() as conn, SourceFile(source.path) as file:
        known = {table.name: table for table in state.captured_tables(conn, source.name)}
        entries = quarantine.entries(conn, source.name)
        with file.reading():
            tables = captured(file)
        comparisons = []
        for each in tables:
            made = known.get(each.name)
            mapped = None if made is None else kept_mapping(made, each)
            if mapped is None:
                raise TargetRefused(
                    f"Table {each.name} of {source.name} has no target of its present shape."
                )
            aside = {e.key: e.dropped_at is not None for e in entries if e.name == each.name}
            comparisons.append(compare_table(file, each.source, conn, mapped, aside))
        return comparisons
