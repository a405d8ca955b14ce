"""A table's mapping as JSON: decided once, when its target is made, and kept with the target."""

from collections.abc import Mapping
from typing import Any

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import TYPES, TargetType
from cdc.schema import Table


def dump(table: MappedTable, capture: str) -> dict[str, Any]:
    """What is kept: the name of the capture that the table follows, and its columns in order."""
    return {
        "capture": capture,
        "columns": [{"name": c.name, "type": c.type.name} for c in table.columns],
    }


def load(
    definition: Mapping[str, Any], source: Table, capture: str, schema: str, name: str
) -> MappedTable | None:
    """The mapping that was kept, or None where it was for another capture or is not understood."""
    kept = definition["columns"]
    known = all(column["type"] in TYPES for column in kept)
    if definition["capture"] != capture or len(kept) != len(source.columns) or not known:
        return None
    columns = tuple(TargetColumn(c["name"], TYPES[c["type"]]) for c in kept)
    return MappedTable(source, schema, name, columns)


def agrees(table: MappedTable, overrides: Mapping[str, TargetType]) -> bool:
    """Whether the mapping has every type that the configuration asks for, by source column."""
    types = {c.name: t.type for c, t in zip(table.source.columns, table.columns, strict=True)}
    return all(types[name] is wanted for name, wanted in overrides.items())
