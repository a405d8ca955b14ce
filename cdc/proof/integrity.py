"""What ties the rows of the targets together: foreign keys, and the sequences behind keys.

Rows are written under session_replication_role = replica, where it may be, and no foreign key
looks at those. So a key that is valid proves nothing, and its orphans are found by a query.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from cdc.config import Config
from cdc.constraints import ForeignKey, folded
from cdc.crossing import references as configured
from cdc.mapping.table import MappedTable
from cdc.mapping.terms import NotTranslatable
from cdc.postgres.connection import Connection
from cdc.postgres.ddl import qualified
from cdc.postgres.foreign_keys import ForeignKeyDesign, foreign_key
from cdc.postgres.gate import read_gate
from cdc.postgres.references import captured_table
from cdc.postgres.translate import translated
from cdc.proof.outcome import Finding, KeySequence, Reference, TableOutcome
from cdc.resources import load_sql
from cdc.sqlite.captures import Captured


def look_at_keys(
    conn: Connection,
    config: Config,
    source: str,
    tables: Sequence[tuple[Captured, MappedTable, TableOutcome]],
    *,
    parents: Mapping[str, MappedTable],
    orphans: bool,
) -> None:
    """Note how the keys of these tables of a source stand, and what of it is amiss.

    `parents` are all its tables by name, to which foreign keys of SQLite may refer. To look for
    `orphans` reads every row that has a foreign key.
    """
    gate_open = read_gate(conn).open
    every = configured.references_of(config)
    for capture, mapped, outcome in tables:
        outcome.sequence = key_sequence(conn, mapped)
        outcome.findings += sequence_findings(outcome.sequence, gate_open=gate_open)
        if orphans:
            wanted = [
                *wanted_keys(mapped, capture.source.constraints.foreign_keys, parents),
                *configured_keys(conn, source, capture.name, every),
            ]
            outcome.references = [count_orphans(conn, each) for each in wanted]
            outcome.findings += reference_findings(outcome.references)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A foreign key that SQLite or the configuration has; `design` says why there can be none."""

    columns: tuple[str, ...]
    parent: str
    design: ForeignKeyDesign | NotTranslatable


def wanted_keys(
    child: MappedTable, keys: Iterable[ForeignKey], tables: Mapping[str, MappedTable]
) -> Iterator[Wanted]:
    """The foreign keys of a table of SQLite, between `tables` of the same file, by name."""
    by_name = {folded(name): table for name, table in tables.items()}
    for key in keys:
        parent = by_name.get(folded(key.parent))
        design: ForeignKeyDesign | NotTranslatable
        if parent is None:
            design = NotTranslatable(f"its parent {key.parent} is not replicated")
        else:
            try:
                design = foreign_key(child, key, parent)
            except NotTranslatable as why:
                design = why
        yield Wanted(key.columns, key.parent, design)


def configured_keys(
    conn: Connection, source: str, name: str, every: Iterable[configured.Reference]
) -> Iterator[Wanted]:
    """Those of the configuration whose child is this table."""
    for reference in every:
        if not reference.child.is_table(source, name):
            continue
        child, parent = (
            captured_table(conn, end.source, end.table)
            for end in (reference.child, reference.parent)
        )
        design: ForeignKeyDesign | NotTranslatable
        if child is None or parent is None:
            design = NotTranslatable("not both of its tables are copied")
        else:
            try:
                design = configured.design_of(conn, reference, child, parent)
            except NotTranslatable as why:
                design = why
        yield Wanted(reference.key.columns, str(reference.parent), design)


def count_orphans(conn: Connection, wanted: Wanted) -> Reference:
    """How a foreign key stands in PostgreSQL; reads both of its tables."""
    design = wanted.design
    if isinstance(design, NotTranslatable):
        return Reference(wanted.columns, wanted.parent, None, None, str(design))
    with translated(f"look for orphans of {design.child}"):
        state = conn.execute(
            "SELECT convalidated FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = to_regclass(%s) AND conname = %s",
            (design.child, design.name),
        ).fetchone()
        found = conn.execute(design.orphans.encode()).fetchone()
    return Reference(
        wanted.columns, wanted.parent, state[0] if state else None, found[0] if found else 0
    )


def reference_findings(references: Iterable[Reference]) -> Iterator[Finding]:
    """What of them the operator should know: rows that refer to none are so in SQLite, too."""
    for each in references:
        if each.orphans:
            key = f"foreign key ({', '.join(each.columns)}) to {each.parent}"
            valid = ", although it counts as valid" if each.valid else ""
            yield Finding("foreign_key", f"{key}: {each.orphans:,} rows refer to none{valid}")


def key_sequence(conn: Connection, table: MappedTable) -> KeySequence | None:
    """The sequence behind the key of a target table, if there is one."""
    if len(table.key_columns) != 1:
        return None
    [column] = table.key_columns
    with translated(f"look at the key of {table.schema}.{table.name}"):
        found = conn.execute(
            load_sql("postgres/proof_sequence.sql").encode(), (qualified(table), column.name)
        ).fetchone()
        if found is None:
            return None
        greatest = conn.execute(
            sql.SQL("SELECT max({})::pg_catalog.int8 FROM {}").format(
                sql.Identifier(column.name), sql.Identifier(table.schema, table.name)
            )
        ).fetchone()
    return KeySequence(found[0], column.name, found[1], greatest[0] if greatest else None)


def sequence_findings(sequence: KeySequence | None, *, gate_open: bool) -> Iterator[Finding]:
    """A sequence behind its key makes an INSERT fail, once others may write; before that the
    cutover sets it, and it may stand anywhere.
    """
    if sequence is not None and sequence.behind and gate_open:
        yield Finding(
            "sequence",
            f"{sequence.name} would give {sequence.next_value}, and the greatest {sequence.column}"
            f" is {sequence.greatest_key}",
            contradicts=True,
        )
