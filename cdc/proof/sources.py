"""Comparing all tables of a source that nobody writes to."""

from cdc.config import SourceConfig
from cdc.errors import TargetRefused
from cdc.pipeline.tables import kept_mapping
from cdc.postgres import quarantine, state
from cdc.postgres.connection import Target
from cdc.proof.rows import Comparison, compare_table
from cdc.sqlite.captures import captured
from cdc.sqlite.connection import SourceFile


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
                    f"Table {each.name} of {source.name} has no target of its present shape.",
                    hint="Let cdc run copy it first.",
                )
            aside = {e.key: e.dropped_at is not None for e in entries if e.name == each.name}
            comparisons.append(compare_table(file, each.source, conn, mapped, aside))
        return comparisons
