"""What each table of a source becomes: what the configuration asks for, and what the rows need."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from cdc.config import SourceConfig
from cdc.crossing.fitting import Look, fitting_types
from cdc.crossing.names import TargetNames
from cdc.crossing.overrides import table_config, wishes_of
from cdc.errors import ConfigError, SchemaMoved
from cdc.logs import fields
from cdc.mapping import definition
from cdc.mapping.defaults import candidates, choose, is_narrowing, natural_type
from cdc.mapping.extras import NO_EXTRAS, Extras, check_extras
from cdc.mapping.naming import Naming
from cdc.mapping.table import MappedTable
from cdc.mapping.types import TargetType
from cdc.mapping.wishes import (
    NO_WISH,
    Wishes,
    agree,
    chosen_names,
    map_columns,
    target_names,
)
from cdc.postgres import state
from cdc.postgres.identifiers import target_identifiers
from cdc.schema import Table
from cdc.sqlite.captures import Captured
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.rows import Bound
from cdc.sqlite.sample import sample

log = logging.getLogger(__name__)

SAMPLE: Final = Bound(seconds=0.01, rows=1000)


class TableMapper:
    """Decides what each table of a source becomes; `cdc plan` shows what this says.

    `naming` is about the targets, `look` says how to look at rows; `names` are those that are given
    out already. `schema_version` is the file's from when its tables were looked at; where it has
    moved since, SchemaMoved is raised. None takes the file as it is.
    """

    def __init__(
        self,
        file: SourceFile,
        source: SourceConfig,
        naming: Naming,
        *,
        look: Look,
        names: TargetNames | None = None,
        schema_version: int | None = None,
    ) -> None:
        self._file = file
        self._source = source
        self._naming = naming
        self._look = look
        self.names = names or TargetNames()
        self._schema_version = schema_version

    def mapping(
        self,
        source: SourceTable,
        capture: Captured | None,
        existing: state.CapturedTable | None,
    ) -> tuple[MappedTable, bool]:
        """The mapping of a table, and whether it is the one that its target was made with.

        `capture` and `existing` are None where there is no capture and no target yet.
        """
        wishes = wishes_of(self._source, source)
        mapped, kept = self._columns_mapped(source, capture, existing, wishes)
        extras = self._extras(source, mapped)
        return replace(mapped, extras=extras, fold=self._naming.fold), kept

    def _extras(self, source: SourceTable, mapped: MappedTable) -> Extras:
        config = table_config(self._source, source)
        extras = NO_EXTRAS if config is None else config.extras
        try:
            columns = mapped.source.columns
            check_extras(extras, {columns[c.source].name: c.name for c in mapped.columns})
        except ValueError as exc:
            raise ConfigError(
                f"Source {self._source.name}: table {source.name}: {exc}.",
                hint="docs/configuration.md says what a table can have besides its columns.",
            ) from exc
        return extras

    def _columns_mapped(
        self,
        source: SourceTable,
        capture: Captured | None,
        existing: state.CapturedTable | None,
        wishes: Wishes,
    ) -> tuple[MappedTable, bool]:
        name = self.names.give(self._naming, self._source.name, source.name)
        try:
            names = self._column_names(source.table, wishes)
            if existing is not None and capture is not None and existing.target_name == name:
                kept = kept_mapping(existing, capture)
                if kept is not None and agree(source.table, kept.columns, names, wishes):
                    return _with_reactions(kept, wishes), True
            return self._map(source, name, names, wishes), False
        except ValueError as exc:
            raise ConfigError(
                f"Source {self._source.name}: table {source.name}: {exc}.",
                hint="docs/mapping.md says what each type takes and which options it knows.",
            ) from exc

    def _column_names(self, table: Table, wishes: Wishes) -> dict[int, str]:
        """What each column is called in PostgreSQL, by its position; those left out are not."""
        names = target_names(table, wishes)
        given = target_identifiers(list(names.values()), self._naming.fold, chosen_names(wishes))
        return dict(zip(names, given, strict=True))

    def _map(
        self, source: SourceTable, name: str, names: Mapping[int, str], wishes: Wishes
    ) -> MappedTable:
        table = source.table
        untold = [at for at in names if wishes.get(table.columns[at].name, NO_WISH).type is None]
        columns = map_columns(table, names, self._fitting(source, untold), wishes)
        for target in columns:
            column = table.columns[target.source]
            expected = {natural_type(column).name, candidates(column)[0].name}
            widened = target.type.name not in expected and column.name not in wishes
            if widened and column.declared:
                log.info(
                    "Column %s of table %s is declared %s but holds other values: it becomes %s.",
                    column.name,
                    table.name,
                    column.declared,
                    target.type.name,
                    extra=fields("type_widened", source=self._source.name, table=table.name),
                )
        return MappedTable(table, self._naming.schema, name, columns)

    def _fitting(self, source: SourceTable, positions: Sequence[int]) -> Mapping[int, TargetType]:
        """Types that take the values of these columns: of all rows where the declaration asks for
        little, otherwise of those at either end of the table.
        """
        columns = source.table.columns
        narrow = [at for at in positions if is_narrowing(columns[at])]
        with self._file.reading():
            if self._schema_version not in (None, self._file.schema_version):
                raise SchemaMoved(f"The schema of {self._file.path} changed.")
            rows = sample(self._file, source, SAMPLE)
        sampled = {
            at: choose(columns[at], (row[at] for row in rows), in_key=at in source.table.key)
            for at in positions
        }
        return sampled | dict(fitting_types(self._file, source, narrow, self._look))


def _with_reactions(kept: MappedTable, wishes: Wishes) -> MappedTable:
    """The mapping with what is to be done with misfits now; no row that is there depends on it."""
    columns = tuple(
        replace(
            column,
            on_misfit=wishes.get(kept.source.columns[column.source].name, NO_WISH).on_misfit,
        )
        for column in kept.columns
    )
    return replace(kept, columns=columns)


def kept_mapping(existing: state.CapturedTable, capture: Captured) -> MappedTable | None:
    """The mapping of a table that was made for this very capture, else None."""
    return definition.load(
        existing.definition,
        capture.source.table,
        capture.id,
        existing.target_schema,
        existing.target_name,
    )
