"""What the target holds already, asked without changing anything there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from cdc.config import Config, SourceConfig
from cdc.plan.plan import Problem, Remedy, TablePlan
from cdc.postgres import state
from cdc.postgres.adoption import FoundColumn, differences, found_columns
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

_RELATIONS = (
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ANY (%s)"
)

_READABLE = (
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ANY (%s) AND c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')"
)

_ALTER = Remedy("Alter the table, or give the column another type or name in the configuration.")

Name = tuple[str, str]
"""A schema, and the name of a relation in it."""


@dataclass(frozen=True, slots=True)
class KnownTarget:
    """The relations of the target's schemas, and the tables of ours, of all sources, by source and
    name. `columns` and `filled` are for tables that were made by hand: what columns each table has,
    and which of them hold rows. All empty where PostgreSQL was not asked.
    """

    asked: bool = False
    relations: frozenset[Name] = frozenset()
    ours: Mapping[tuple[str, str], state.CapturedTable] = field(default_factory=dict)
    columns: Mapping[Name, Mapping[str, FoundColumn]] = field(default_factory=dict)
    filled: frozenset[Name] = frozenset()

    def problems(self, plan: TablePlan) -> Iterator[Problem]:
        """What of the target is in the way of a table, or is not as the table needs it."""
        mapped = plan.mapped
        name = (mapped.schema, mapped.name)
        if plan.by_hand:
            if self.asked:
                yield from self._of_hand_made(plan, name)
        elif name in self.relations and not self._is_ours(name):
            yield Problem(
                f"{mapped.schema}.{mapped.name} exists in PostgreSQL, and cdc did not make it.",
                (Remedy("Rename or drop it, or choose another schema for this source."),),
                table=plan.name,
            )

    def _of_hand_made(self, plan: TablePlan, name: Name) -> Iterator[Problem]:
        """Everything in which a table that was made by hand keeps the run from filling it."""
        label = ".".join(name)
        if name not in self.columns:
            yield Problem(
                f"{label} is to be there already (existing = true), but there is no such table.",
                (Remedy("Make it, or take `existing` out of the configuration."),),
                table=plan.name,
            )
            return
        for words in differences(plan.mapped, self.columns[name]):
            yield Problem(f"{label} was made by hand, and {words}.", (_ALTER,), table=plan.name)
        if name in self.filled and not self._is_ours(name):
            yield Problem(
                f"{label} was made by hand and holds rows already.",
                (Remedy("Empty it; the copy brings the rows of SQLite."),),
                table=plan.name,
            )

    def _is_ours(self, name: Name) -> bool:
        return any((t.target_schema, t.target_name) == name for t in self.ours.values())


def ask(conn: Connection, config: Config, sources: Sequence[SourceConfig]) -> KnownTarget:
    """What there is in the schemas of these sources, and which of it is ours.

    Where some of it is to be filled it is looked at column by column.
    """
    schemas = sorted({config.target_schema(source) for source in sources})
    hand_made = any(table.existing for source in sources for table in source.tables.values())
    installed = state.identity(conn) is not None
    tables = state.captured_tables(conn) if installed else []
    ours = {(table.source, table.name): table for table in tables}
    with translated("look at the tables of the target"):
        relations = frozenset(conn.execute(_RELATIONS, (schemas,)).fetchall())
        columns = found_columns(conn, schemas) if hand_made else {}
        filled = _filled(conn, schemas) if hand_made else frozenset()
    return KnownTarget(True, relations, ours, columns, filled)


def _filled(conn: Connection, schemas: list[str]) -> frozenset[Name]:
    names = conn.execute(_READABLE, (schemas,)).fetchall()
    any_row = sql.SQL("SELECT EXISTS (SELECT FROM {})")
    return frozenset(
        name
        for name in names
        if conn.execute(any_row.format(sql.Identifier(*name))).fetchone() == (True,)
    )
