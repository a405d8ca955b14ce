"""A table's mapping as JSON: decided once, when its target is made, and kept with the target."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec

from cdc.mapping.codec import PLAIN, Options
from cdc.mapping.extras import AddedColumn, Extras
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import target_type
from cdc.schema import Table


def dump(table: MappedTable, capture: str) -> dict[str, Any]:
    """What is kept: the name of the capture that the table follows, its columns in order, and what
    it has besides.
    """
    columns = [_dump(table, column) for column in table.columns]
    return {"capture": capture, "columns": columns, **dump_extras(table.extras)}


def dump_extras(extras: Extras) -> dict[str, Any]:
    """What is kept of the extras; of indexes the catalogue tells."""
    return {
        "storage": dict(extras.storage),
        "added": [asdict(column) for column in extras.added],
    }


def load_extras(definition: Mapping[str, Any]) -> Extras:
    """The extras that were kept."""
    return Extras(
        storage=tuple(sorted(definition.get("storage", {}).items())),
        added=tuple(AddedColumn(**column) for column in definition.get("added", ())),
    )


def _dump(table: MappedTable, column: TargetColumn) -> dict[str, Any]:
    source = table.source.columns[column.source].name
    options = {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in fields(Options)
        if (value := getattr(column.type.options, field.name)) != getattr(PLAIN, field.name)
    }
    kept = {"name": column.name, "type": column.type.name, "source": source}
    return kept | {"options": options} if options else kept


def load(
    definition: Mapping[str, Any], source: Table, capture: str, schema: str, name: str
) -> MappedTable | None:
    """The mapping that was kept, or None where it was for another capture or is not understood."""
    if definition["capture"] != capture:
        return None
    try:
        columns = tuple(_load(kept, source) for kept in definition["columns"])
    except (KeyError, TypeError, ValueError):  # kept by another version, or of other columns
        return None
    if not {column.source for column in columns}.issuperset(source.key):
        return None
    return MappedTable(source, schema, name, columns, load_extras(definition))


def _load(kept: Mapping[str, Any], source: Table) -> TargetColumn:
    names = [column.name for column in source.columns]
    position = names.index(kept["source"])
    options = msgspec.convert(kept.get("options", {}), Options)
    type_ = target_type(
        kept["type"], source.columns[position].affinity, options, in_key=position in source.key
    )
    return TargetColumn(kept["name"], type_, position)
