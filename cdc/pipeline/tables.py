"""The target tables of a source: mapped, made where they are missing, and how far each is."""

import logging
from dataclasses import dataclass, replace

from cdc.config import SourceConfig
from cdc.constraints import NO_CONSTRAINTS, Constraints
from cdc.crossing.mapper import TableMapper
from cdc.crossing.names import TargetNames
from cdc.crossing.overrides import check_overrides, table_config
from cdc.errors import CdcError, ConfigError, TableGone, TargetRefused
from cdc.logs import fields
from cdc.mapping import definition
from cdc.mapping.table import MappedTable
from cdc.pipeline.adoption import take
from cdc.pipeline.descent import Descent, Succession, origins, together
from cdc.pipeline.stops import Stops
from cdc.postgres import state, tables
from cdc.postgres.adoption import refuse_differences
from cdc.postgres.connection import Connection
from cdc.postgres.mending import can_mend, empty_table, mend_table, step_aside
from cdc.postgres.queue import follow
from cdc.postgres.stopped import record_stopped, stopped_tables
from cdc.postgres.translate import translated
from cdc.schema import Row
from cdc.sqlite.captures import Captured
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.order import chunk_order

log = logging.getLogger(__name__)


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

    `schema_version` and `seq` say where the file and the position stand, `application_schema` where
    the schema stands without a freeze of ours.
    """

    def __init__(
        self,
        conn: Connection,
        mapper: TableMapper,
        source: SourceConfig,
        *,
        schema_version: int,
        application_schema: int,
        seq: int,
    ) -> None:
        self._conn = conn
        self._source = source
        self._mapper = mapper
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
        descent = Descent(captured, known)
        successions = self._successions(captured, descent, stops)
        prepared = []
        with translated(f"make the tables of {self._source.name}"), self._conn.transaction():
            paused = {t.name for t in stopped_tables(self._conn, self._source.name)}
            for group in together(successions):
                try:
                    prepared += self._prepare_together(group, paused)
                except (TargetRefused, ConfigError) as error:
                    for each in group:
                        stops.note(each.capture.name, _for_all(group, error))
            names = {each.name for each in captured}
            for name in known.keys() - names - descent.followed - stops.errors.keys():
                self._part_from(known[name], descent, stops)
            record_stopped(self._conn, self._source.name, stops.reasons)
            follow(self._conn, self._source.name, [table.mapped for table in prepared])
        return prepared

    def _successions(
        self, captured: list[Captured], descent: Descent, stops: Stops
    ) -> list[Succession]:
        """What each table becomes. To find out may take a look at all its rows, so it is done
        before the transaction that makes the targets.
        """
        successions = []
        for capture in captured:
            existing = descent.predecessor(capture)
            try:
                mapped, kept = self._mapper.mapping(capture.source, capture, existing)
            except (TargetRefused, ConfigError) as error:
                stops.note(capture.name, error)
            else:
                successions.append(Succession(capture, existing, mapped, kept))
        return successions

    def _part_from(self, table: state.CapturedTable, descent: Descent, stops: Stops) -> None:
        """What becomes of a target whose table is not captured any more."""
        name, target = table.name, f"{table.target_schema}.{table.target_name}"
        if not self._source.captures(name):
            return  # as the operator wants it
        try:
            if descent.lives_on(table):
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

    def _prepare_together(self, group: list[Succession], paused: set[str]) -> list[ReplicatedTable]:
        """Prepare tables whose names go from one to another, or none of them."""
        with self._conn.transaction():
            if len(group) > 1:
                group = [_aside(self._conn, each, number) for number, each in enumerate(group)]
            return [self._prepare(each, paused=each.capture.name in paused) for each in group]

    def _prepare(self, succession: Succession, *, paused: bool) -> ReplicatedTable:
        capture, existing = succession.capture, succession.existing
        mapped, kept = succession.mapped, succession.kept
        if existing is not None and kept and not paused and self._is_there(existing):
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

    def _is_there(self, existing: state.CapturedTable) -> bool:
        if tables.exists(self._conn, existing.target_schema, existing.target_name):
            return True
        log.warning(
            "The target %s.%s of table %s is gone from PostgreSQL: it is made and copied anew.",
            existing.target_schema,
            existing.target_name,
            existing.name,
            extra=fields("target_gone", source=self._source.name, table=existing.name),
        )
        return False

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


def _aside(conn: Connection, each: Succession, number: int) -> Succession:
    """Have a target leave its names before others take them; one made by hand moves nowhere."""
    if each.existing is None or not each.leaves or _was_adopted(each.existing):
        return each
    return replace(each, existing=step_aside(conn, each.existing, number))


def _for_all(group: list[Succession], error: CdcError) -> CdcError:
    """Why all of these wait, where one of them cannot go on."""
    if len(group) == 1:
        return error
    names = ", ".join(sorted(each.capture.name for each in group))
    return TargetRefused(f"{names}: their names change together, but {error}", hint=error.hint)


def _keeps_order(mapped: MappedTable, capture: Captured) -> bool:
    """Whether the rows in the target may stay until the chunks of the new copy reach them: a chunk
    has to be a range of keys that PostgreSQL orders as SQLite does.
    """
    ordered = all(column.type.ordered for column in mapped.key_columns)
    return ordered and chunk_order(capture.source).by_key


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
