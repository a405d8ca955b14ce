"""The target tables of a source: mapped, made where they are missing, and how far each is."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cdc.config import SourceConfig
from cdc.constraints import NO_CONSTRAINTS, Constraints
from cdc.errors import ConfigError, SchemaMoved, TableGone, TargetRefused
from cdc.logs import fields
from cdc.mapping import definition
from cdc.mapping.defaults import candidates, natural_type
from cdc.mapping.extras import NO_EXTRAS, Extras, check_extras
from cdc.mapping.naming import Naming
from cdc.mapping.table import MappedTable
from cdc.mapping.wishes import (
    NO_WISH,
    Wishes,
    agree,
    chosen_names,
    map_columns,
    target_names,
)
from cdc.pipeline.adoption import take
from cdc.pipeline.descent import absorbed, origins, predecessor
from cdc.pipeline.names import TargetNames
from cdc.pipeline.overrides import check_overrides, table_config, wishes_of
from cdc.pipeline.stops import Stops
from cdc.postgres import state, tables
from cdc.postgres.adoption import refuse_differences
from cdc.postgres.connection import Connection
from cdc.postgres.identifiers import target_identifiers
from cdc.postgres.mending import can_mend, empty_table, mend_table
from cdc.postgres.queue import follow
from cdc.postgres.stopped import record_stopped, stopped_tables
from cdc.postgres.translate import translated
from cdc.schema import Row, Table
from cdc.sqlite.captures import Captured
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.order import chunk_order
from cdc.sqlite.rows import Bound
from cdc.sqlite.sample import sample

log = logging.getLogger(__name__)

SAMPLE: Final = Bound(seconds=0.01, rows=1000)


@dataclass(slots=True)
class ReplicatedTable:
    """A captured table and its target. `copied` counts the rows of the copy, which stands at
    `place` (None before its start) until `live`. `fresh` says that the target was empty when the
    copy began; otherwise each chunk has to be made equal. `adopted` says that it was made by hand.
    """

    source: SourceTable
    layout: int
    mapped: MappedTable
    live: bool
    place: Row | None
    copied: int
    fresh: bool
    adopted: bool = False

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def constraints(self) -> Constraints:
        """What of SQLite's constraints the target gets; one made by hand has its own."""
        return NO_CONSTRAINTS if self.adopted else self.source.constraints


class TablePreparation:
    """Maps the captured tables of a source, and makes the targets that are missing or were made for
    a capture that has ended.

    `naming` is about the targets; `schema_version` and `seq` say where the file and the position
    stand, `application_schema` where the schema stands without a freeze of ours.
    """

    def __init__(
        self,
        conn: Connection,
        file: SourceFile,
        source: SourceConfig,
        *,
        naming: Naming,
        schema_version: int,
        application_schema: int,
        seq: int,
    ) -> None:
        self._conn = conn
        self._source = source
        self._mapper = TableMapper(file, source, naming, schema_version=schema_version)
        self._schema_version = schema_version
        self._application_schema = application_schema
        self._seq = seq

    def prepare(self, captured: list[Captured], stops: Stops) -> list[ReplicatedTable]:
        """Every captured table with its target, all made in one transaction.

        Tables that need a decision are noted in `stops` and left out.
        """
        everything = state.captured_tables(self._conn)
        known = {t.name: t for t in everything if t.source == self._source.name}
        self._mapper.names = TargetNames(everything)
        check_overrides(self._source, [*known, *stops.errors, *(each.name for each in captured)])
        prepared = []
        with translated(f"make the tables of {self._source.name}"), self._conn.transaction():
            paused = {t.name for t in stopped_tables(self._conn, self._source.name)}
            for capture in captured:
                existing = predecessor(capture, known)
                try:
                    with self._conn.transaction():
                        table = self._prepare(capture, existing, paused=capture.name in paused)
                except (TargetRefused, ConfigError) as error:
                    stops.note(capture.name, error)
                else:
                    prepared.append(table)
                if existing is not None:
                    known.pop(existing.name, None)
            for name in known.keys() - {each.name for each in captured} - stops.errors.keys():
                self._part_from(name, known, captured, stops)
            record_stopped(self._conn, self._source.name, stops.reasons)
            follow(self._conn, self._source.name, [table.mapped for table in prepared])
        return prepared

    def _part_from(
        self,
        name: str,
        known: Mapping[str, state.CapturedTable],
        captured: list[Captured],
        stops: Stops,
    ) -> None:
        """What becomes of a target whose table is not captured any more."""
        if not self._source.captures(name):
            return  # as the operator wants it
        target = f"{known[name].target_schema}.{known[name].target_name}"
        try:
            if absorbed(name, known, captured):
                with self._conn.transaction():
                    tables.drop_table(self._conn, self._source.name, name)
                return
            raise TableGone(
                f"Table {name} is gone from {self._source.path}; its target {target} stays as it"
                " was.",
                hint="Exclude the table in the configuration if it is not needed any more, and"
                " start cdc run again; or make it again.",
            )
        except (TargetRefused, TableGone) as error:
            stops.note(name, error)

    def _prepare(
        self, capture: Captured, existing: state.CapturedTable | None, *, paused: bool
    ) -> ReplicatedTable:
        mapped, kept = self._mapper.mapping(capture.source, capture, existing)
        if existing is not None and kept and not paused:
            if _was_adopted(existing):
                refuse_differences(self._conn, mapped)
            else:
                self._follow_extras(existing, mapped)
            return _resumed(existing, mapped, capture)
        resync = self._reshape(capture, mapped, existing)
        return ReplicatedTable(
            capture.source,
            capture.layout,
            mapped,
            live=False,
            place=None,
            copied=0,
            fresh=not resync,
            adopted=self._is_adopted(capture, existing),
        )

    def _follow_extras(self, existing: state.CapturedTable, mapped: MappedTable) -> None:
        """Give a target that stays what the configuration asks for by now."""
        asked = definition.dump_extras(mapped.extras)
        if not asked.items() <= existing.definition.items():
            tables.alter_extras(
                self._conn,
                self._source.name,
                mapped,
                before=definition.load_extras(existing.definition),
                definition=dict(existing.definition) | asked,
            )

    def _reshape(
        self, capture: Captured, mapped: MappedTable, existing: state.CapturedTable | None
    ) -> bool:
        """Give a table its target, to be copied from the start; whether rows are left in it."""
        if self._is_adopted(capture, existing):
            return self._adopt(capture, mapped, existing)
        source = self._source.name
        constraints = capture.source.constraints
        found = None if existing is None else origins(capture, existing, mapped)
        if existing and found and can_mend(self._conn, existing, mapped, found):
            resync = _keeps_order(mapped, capture)
            mend_table(self._conn, existing, mapped, found, constraints=constraints)
            if not resync:
                empty_table(self._conn, mapped)
            made_for = self._definition(mapped, capture, resync=resync)
            state.restart_copy(
                self._conn, source, capture.name, definition=made_for, since_seq=self._seq
            )
            return resync
        if existing is not None and existing.name != capture.name:
            tables.drop_table(self._conn, source, existing.name)
        tables.make_table(
            self._conn,
            source,
            mapped,
            definition=self._definition(mapped, capture, resync=False),
            since_seq=self._seq,
            constraints=constraints,
        )
        return False

    def _is_adopted(self, capture: Captured, existing: state.CapturedTable | None) -> bool:
        if existing is not None:
            return _was_adopted(existing)
        config = table_config(self._source, capture.source)
        return config is not None and config.existing

    def _adopt(
        self, capture: Captured, mapped: MappedTable, existing: state.CapturedTable | None
    ) -> bool:
        """Have a table made by hand copied into from the start; whether rows are left in it."""
        resync = existing is not None and _keeps_order(mapped, capture)
        made_for = self._definition(mapped, capture, resync=resync) | {"adopted": True}
        take(
            self._conn,
            self._source.name,
            mapped,
            existing,
            definition=made_for,
            since_seq=self._seq,
            resync=resync,
        )
        return resync

    def _definition(
        self, mapped: MappedTable, capture: Captured, *, resync: bool
    ) -> dict[str, object]:
        made_for = definition.dump(mapped, capture.id) | {"fresh": not resync}
        if capture.source.table.rowid_key:
            made_for["rowids_as_of"] = self._application_schema
            _warn_of_rowids(self._source, capture)
        return made_for


class TableMapper:
    """Decides what each table of a source becomes; `cdc plan` shows what this says.

    `naming` is about the targets, `names` are those that are given out already. `schema_version` is
    the file's from when its tables were looked at; where it has moved since, SchemaMoved is raised.
    None takes the file as it is.
    """

    def __init__(
        self,
        file: SourceFile,
        source: SourceConfig,
        naming: Naming,
        *,
        names: TargetNames | None = None,
        schema_version: int | None = None,
    ) -> None:
        self._file = file
        self._source = source
        self._naming = naming
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
        with self._file.reading():
            if self._schema_version not in (None, self._file.schema_version):
                raise SchemaMoved(f"The schema of {self._file.path} changed.")
            rows = sample(self._file, source, SAMPLE)
        columns = map_columns(table, names, rows, wishes)
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


def _keeps_order(mapped: MappedTable, capture: Captured) -> bool:
    """Whether the rows in the target may stay until the chunks of the new copy reach them: a chunk
    has to be a range of keys that PostgreSQL orders as SQLite does.
    """
    ordered = all(column.type.ordered for column in mapped.key_columns)
    return ordered and chunk_order(capture.source).by_key


def kept_mapping(existing: state.CapturedTable, capture: Captured) -> MappedTable | None:
    """The mapping of a table that was made for this very capture, else None."""
    return definition.load(
        existing.definition,
        capture.source.table,
        capture.id,
        existing.target_schema,
        existing.target_name,
    )


def _resumed(
    existing: state.CapturedTable, kept: MappedTable, capture: Captured
) -> ReplicatedTable:
    return ReplicatedTable(
        capture.source,
        capture.layout,
        kept,
        live=existing.state == "live",
        place=existing.last_key,
        copied=existing.copied_rows,
        fresh=existing.definition["fresh"],
        adopted=_was_adopted(existing),
    )


def _was_adopted(existing: state.CapturedTable) -> bool:
    return bool(existing.definition.get("adopted", False))


def _warn_of_rowids(config: SourceConfig, capture: Captured) -> None:
    log.warning(
        "Table %s has no key: its rows are told apart by their rowid, in the target's column %s."
        " A VACUUM may renumber them; then the table is copied again. Give it a PRIMARY KEY, or"
        " exclude it, if you do not want that.",
        capture.name,
        capture.source.table.columns[0].name,
        extra=fields("table_without_key", source=config.name, table=capture.name),
    )
