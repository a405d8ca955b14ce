"""What the target holds already, asked without changing anything there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cdc.postgres import state
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

_RELATIONS = (
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ANY (%s)"
)


@dataclass(frozen=True, slots=True)
class KnownTarget:
    """The relations of the target's schemas as (schema, name), and the tables of ours, of all
    sources, by source and name. Both empty where PostgreSQL was not asked.
    """

    relations: frozenset[tuple[str, str]] = frozenset()
    ours: Mapping[tuple[str, str], state.CapturedTable] = field(default_factory=dict)

    def is_foreign(self, schema: str, name: str) -> bool:
        """Whether something that cdc did not make has this name."""
        return (schema, name) in self.relations and not any(
            (table.target_schema, table.target_name) == (schema, name)
            for table in self.ours.values()
        )


def ask(conn: Connection, schemas: list[str]) -> KnownTarget:
    """What there is in these schemas, and which of it is ours."""
    installed = state.identity(conn) is not None
    tables = state.captured_tables(conn) if installed else []
    ours = {(table.source, table.name): table for table in tables}
    with translated("look at the tables of the target"):
        relations = frozenset(conn.execute(_RELATIONS, (schemas,)).fetchall())
    return KnownTarget(relations, ours)
