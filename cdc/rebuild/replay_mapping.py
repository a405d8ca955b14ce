"""What the tables of a replay become in PostgreSQL, whatever shape they had at the time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from cdc.config import SourceConfig, TableConfig
from cdc.constraints import folded
from cdc.crossing.names import TargetNames
from cdc.errors import ConfigError
from cdc.event import LAYOUT, OP, VALUES, Op
from cdc.mapping import definition
from cdc.mapping.defaults import Choice
from cdc.mapping.extras import NO_EXTRAS
from cdc.mapping.naming import Naming
from cdc.mapping.table import MappedTable
from cdc.mapping.wishes import NO_WISH, Wish, chosen_names, map_columns, target_names
from cdc.postgres.identifiers import target_identifiers
from cdc.postgres.state import CapturedTable
from cdc.rebuilt import Standing
from cdc.replay.pieces import pieces
from cdc.replay.plan import Plan, TablePlan
from cdc.replay.store import Store
from cdc.schema import Table


class ReplayMapper:
    """Maps the tables of one source: as their live targets are mapped, where these are of the same
    shape, otherwise as the configuration asks for, and by all the values that the replay will meet.

    `known` are the live targets of the source; `naming` is that of the destination.
    """

    def __init__(
        self,
        source: SourceConfig,
        naming: Naming,
        names: TargetNames,
        known: Sequence[CapturedTable],
    ) -> None:
        self._source = source
        self._naming = naming
        self._names = names
        self._known = {table.definition["capture"]: table for table in known}

    def map(self, store: Store, plan: Plan) -> dict[int, MappedTable]:
        """The target of each table of a plan, by layout."""
        mapped, others = {}, []
        for table in plan.tables:
            name = self._names.give(self._naming, self._source.name, table.name)
            capture = capture_id(store, table)
            known = self._known.get(capture)
            found = None
            if known is not None:
                shape = table.life.table
                found = definition.load(known.definition, shape, capture, self._naming.schema, name)
            if found is None:
                others.append(table)
            else:
                mapped[table.layout] = replace(found, extras=NO_EXTRAS, fold=self._naming.fold)
        if others:
            choices = _choices(store, replace(plan, tables=tuple(others)))
            for table in others:
                mapped[table.layout] = self._map(table, choices[table.layout])
        return mapped

    def _map(self, plan: TablePlan, choices: Sequence[Choice]) -> MappedTable:
        table = plan.life.table
        wishes = self._wishes(table)
        try:
            wanted = target_names(table, wishes)
            given = target_identifiers(
                list(wanted.values()), self._naming.fold, chosen_names(wishes)
            )
            names = dict(zip(wanted, given, strict=True))
            types = {at: choices[at].type for at in names}
            columns = map_columns(table, names, types, wishes)
        except ValueError as exc:
            raise ConfigError(
                f"Source {self._source.name}: table {table.name}: {exc}.",
                hint="docs/mapping.md says what each type takes and which options it knows.",
            ) from exc
        name = self._names.give(self._naming, self._source.name, table.name)
        return MappedTable(table, self._naming.schema, name, columns, fold=self._naming.fold)

    def _wishes(self, table: Table) -> dict[str, Wish]:
        """What is asked for the columns that the table had; those of later are left out."""
        config: TableConfig | None = next(
            (c for n, c in self._source.tables.items() if folded(n) == folded(table.name)), None
        )
        asked = {folded(n): c.wish for n, c in config.columns.items()} if config else {}
        return {c.name: asked.get(folded(c.name), NO_WISH) for c in table.columns}


def capture_id(store: Store, table: TablePlan) -> str:
    """The name of the capture that a table is replayed from, as of `Captured.id`."""
    return f"{store.log_id}/{table.layout}"


def _choices(store: Store, plan: Plan) -> Mapping[int, Sequence[Choice]]:
    """What the columns of each table can become, by every value that a replay of them meets."""
    choices = {
        table.layout: [
            Choice(column, in_key=at in table.life.table.key)
            for at, column in enumerate(table.life.table.columns)
        ]
        for table in plan.tables
    }
    begin = Standing(store.log_id, plan.start, None, None, 0, plan.numbers)
    for piece in pieces(store, plan, begin):
        rows: dict[int, list[tuple[object, ...]]] = {layout: [] for layout in choices}
        for event in chain.from_iterable(piece.groups):
            if event[OP] not in Op.GONE:
                rows[event[LAYOUT]].append(event[VALUES:])
        if piece.base is not None:
            rows[piece.base.layout] += piece.base.chunk.rows
        for layout, found in rows.items():
            for choice, values in zip(choices[layout], zip(*found, strict=False), strict=False):
                choice.add(values)
    return choices
