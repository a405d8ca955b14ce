"""A table's mapping as JSON: decided once, when its target is made, and kept with the target."""

from collections.abc import Mapping
from typing import Any

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import TargetType, target_type
from cdc.schema import Table


def dump(table: MappedTable, capture: str) -> dict[str, Any]:
    """What is kept: the name of the capture that the table follows, and its columns in order."""
    return {
        "capture": capture,
        "columns": [
            {"name": c.name, "type": c.type.name, "source": table.source.columns[c.source].name}
            for c in table.columns
        ],
    }


def load(
    definition: Mapping[str, Any], source: Table, capture: str, schema: str, name: str
) -> MappedTable | None:
    """The mapping that was kept, or None where it was for another capture or is not understood."""
    if definition["capture"] != capture:
        return None
    positions = {column.name: i for i, column in enumerate(source.columns)}
    try:
        columns = tuple(
            TargetColumn(c["name"], target_type(c["type"]), positions[c["source"]])
            for c in definition["columns"]
        )
    except (KeyError, ValueError):  # kept by another version, or its source has other columns
        return None
    if not {column.source for column in columns}.issuperset(source.key):
        return None
    return MappedTable(source, schema, name, columns)


def agrees(table: MappedTable, overrides: Mapping[str, TargetType]) -> bool:
    """Whether the mapping has every type that the configuration asks for, by source column."""
    types = {table.source.columns[c.source].name: c.type for c in table.columns}
    return all(types[name] is wanted for name, wanted in overrides.items())
