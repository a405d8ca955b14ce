"""The tables of a source as they are on both sides at this moment, each with its mapping."""

from dataclasses import dataclass

from cdc.crossing.mapper import kept_mapping
from cdc.errors import TargetRefused
from cdc.mapping.table import MappedTable
from cdc.postgres import state
from cdc.postgres.connection import Connection
from cdc.sqlite.captures import Captured, captured
from cdc.sqlite.connection import SourceFile


@dataclass(frozen=True, slots=True)
class Pair:
    """A captured table and what it is mapped to."""

    captured: Captured
    mapped: MappedTable


def pairs(conn: Connection, file: SourceFile, source: str) -> list[Pair]:
    """Every captured table of a source; TargetRefused where one has no target of its shape."""
    known = {table.name: table for table in state.captured_tables(conn, source)}
    with file.reading():
        found = captured(file)
    return [Pair(each, _mapped(known, each, source)) for each in found]


def _mapped(known: dict[str, state.CapturedTable], capture: Captured, source: str) -> MappedTable:
    made = known.get(capture.name)
    mapped = None if made is None else kept_mapping(made, capture)
    if mapped is None:
        raise TargetRefused(
            f"Table {capture.name} of {source} has no target of its present shape.",
            hint="Let cdc run copy it first.",
        )
    return mapped
