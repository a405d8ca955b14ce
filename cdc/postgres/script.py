"""The DDL of all targets as one script."""

from collections.abc import Iterator, Sequence

from cdc.postgres.ddl import IndexDesign, TableDesign, quoted
from cdc.postgres.foreign_keys import ForeignKeyDesign


def statements(
    designs: Sequence[TableDesign], foreign_keys: Sequence[ForeignKeyDesign] = ()
) -> list[str]:
    """Everything in an order that loads into an empty database, each without a semicolon."""
    schemas = dict.fromkeys(each.table.schema for each in designs)
    return [
        *(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}" for schema in schemas),
        *(each.create for each in designs),
        *(comment for each in designs for comment in each.comments),
        *(statement for each in designs for statement in each.generation.statements),
        *(index.create(name) for _, index, name in index_names(designs)),
        *(statement for key in foreign_keys for statement in key.statements),
        *(key.validate for key in foreign_keys),
    ]


def index_names(designs: Sequence[TableDesign]) -> Iterator[tuple[TableDesign, IndexDesign, str]]:
    """Each index with the name that it gets: its second one where a relation of the schema has the
    first.
    """
    taken = {(each.table.schema, each.table.name) for each in designs}
    taken |= {(schema, f"{name}_pkey") for schema, name in taken}
    for each in designs:
        schema = each.table.schema
        for index in each.indexes:
            name = index.second_name if (schema, index.name) in taken else index.name
            taken.add((schema, name))
            yield each, index, name
