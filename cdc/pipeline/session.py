"""One source, opened: its file verified and captured, its tables and its position in the target.

A session is good for as long as nothing beneath it moves. When the file's schema changes, the file
is replaced, or the target's position is not the expected one, it ends, and the next one finds out
what is true by the same checks.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.crossing import references
from cdc.crossing.fitting import Look
from cdc.crossing.mapper import TableMapper
from cdc.crossing.names import naming_of
from cdc.crossing.overrides import check_selection
from cdc.errors import CdcError, SchemaMoved
from cdc.logs import fields
from cdc.pipeline import identity
from cdc.pipeline.batch import Compactor
from cdc.pipeline.past import Past
from cdc.pipeline.stops import Stops
from cdc.pipeline.tables import ReplicatedTable, TablePreparation
from cdc.pipeline.terms import terms_of
from cdc.postgres import replays, state, switches, terms
from cdc.postgres.connection import Target
from cdc.postgres.gate import read_gate
from cdc.sqlite import capture, direction, introspect, released, surroundings
from cdc.sqlite.captures import captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.log import Position
from cdc.sqlite.log import read as log_of
from cdc.sqlite.mirrors import fill_mirrors
from cdc.sqlite.moves import application_schema
from cdc.sqlite.verification import Finding, verify
from cdc.stop import Stop

log = logging.getLogger(__name__)


class SessionEnded(CdcError):
    """Something moved beneath the session; a new one will take it into account."""


class WayBack(SessionEnded):
    """PostgreSQL is master: the file takes rows from there, under this epoch, and gives none."""

    def __init__(self, file: SourceFile, epoch: int) -> None:
        super().__init__(
            f"{file.path} takes rows from PostgreSQL.",
            hint="Its own rows go there again once a rollback has made SQLite the master.",
        )
        self.epoch = epoch


class Session:
    """An open source, ready to be replicated. For one thread at a time."""

    def __init__(
        self,
        file: SourceFile,
        *,
        position: Position,
        epoch: int,
        tables: list[ReplicatedTable],
        stops: Stops,
        schema_version: int,
        application_schema: int,
        past: Past | None = None,
    ) -> None:
        self.file = file
        self.past = past
        self.position = position
        self.epoch = epoch
        self.tables = tables
        self.stops = stops
        with file.reading():
            self.changelog = Changelog(file, _keys(tables))
        # A target that was put back lacks what others wrote to it before that, too.
        mapped = {t.layout: t.mapped for t in tables}
        self.compactor = Compactor(mapped, from_anybody=past is not None)
        self.schema_version = schema_version
        self._application_schema = application_schema

    @contextmanager
    def reading(self, after: Position | None = None) -> Iterator[None]:
        """A read transaction of the file, as long as its schema is the one that we know.

        With `after`, as long as its log still holds the event at that position, too: a backup that
        was copied over the live file has the same schema and even the same inode.
        """
        with self.file.reading():
            self._check_schema()
            if after is not None and not self.changelog.holds(after):
                raise SessionEnded(f"The log of {self.file.path} does not go on from {after.seq}.")
            yield

    def _check_schema(self) -> None:
        version = self.file.schema_version
        if version == self.schema_version:
            return
        # A freeze or a thaw is nothing to us; a change of the direction is everything.
        _check_direction(self.file)
        if application_schema(self.file) != self._application_schema:
            raise SessionEnded(f"The schema of {self.file.path} changed.")
        self.schema_version = version

    def check_file(self) -> None:
        """Raise SessionEnded when the path names another file by now."""
        if self.file.replaced:
            raise SessionEnded(f"{self.file.path} was moved or replaced.")

    def close(self) -> None:
        self.file.close()


def _check_direction(file: SourceFile) -> None:
    """Raise WayBack where rows go from PostgreSQL to the file; within a transaction."""
    found = direction.read(file)
    if found is not None:
        raise WayBack(file, found.epoch)


def _keys(tables: list[ReplicatedTable]) -> dict[int, tuple[int, ...] | None]:
    """The positions of each table's key, by layout. None where the key may be 1 in one row and 1.0
    in another, as a column without a type allows: to SQLite these are equal.
    """
    return {
        t.layout: t.mapped.key
        if all(column.affinity != "BLOB" for column in t.source.table.key_columns)
        else None
        for t in tables
    }


def open_session(config: Config, source: SourceConfig, target: Target, stop: Stop) -> Session:
    """Open a source and bring both its sides into order; every start goes through here.

    Raises what the checks find: a SourceError or a TargetError that says what to do, WayBack, or
    Finished.
    """
    with target.lease() as conn:
        # PostgreSQL first: while it is away, each attempt leaves the file alone.
        switches.refuse_finished(conn)
        target_id = state.install(conn)
        epoch = read_gate(conn).epoch
        replays.refuse_unfinished(conn, source.name)
        state.wait_for_commits(conn, source.name)
        known = state.source(conn, source.name)
        tables = state.captured_tables(conn, source.name)
        file = SourceFile(source.path)
        try:
            surroundings.check_owner(source.path)
            surroundings.check_disk(source.path, config.replication.min_free_disk_mb)
            with file.reading():
                surroundings.check_file_system(file)
            past = Past.of(conn, config, source, file, known)
            identity.check(file, source, known, target_id.id, past=past)
            with file.reading():
                _check_direction(file)
                if not tables:  # later a table may have gone
                    check_selection(source, introspect.table_names(file))
            stops = Stops(at_once=not tables)
            wanted = _wanted_tables(file, source, stops)
            with file.reading():
                renew = _renumbered(tables, application_schema(file))
            found = capture.install(
                file,
                wanted,
                renew=renew,
                read_to=_read_to(file, known),
                on_refusal=stops.note,
                wait=stop.wait,
            )
            _report(source, found)
            # A row that is not in the mirror yet could be evicted without an event.
            fill_mirrors(file, wait=stop.wait, stopped=lambda: stop.asked)
            position = identity.register(conn, file, source, known, target_id.id)
            with file.reading():
                schema_version, of_application = file.schema_version, application_schema(file)
                _check_unmoved(file, source, stops)
                _check_not_renumbered(file, of_application, tables, found)
                tables_captured = captured(file, breathe=file.breathe)
            columns = {t.name: [c.name for c in t.source.table.columns] for t in tables_captured}
            if not tables:  # later a migration of the application may be the reason: see the status
                references.check(config, source.name, columns)
            look = Look(config.replication.lock_bound_ms / 1000, lambda: stop.asked)
            prepared = TablePreparation(
                conn,
                _mapper(config, source, file, look, schema_version),
                source,
                schema_version=schema_version,
                application_schema=of_application,
                seq=position.seq,
            ).prepare(tables_captured, stops)
            _report_stops(source, stops)
            terms.record(conn, source.name, terms_of(config, source), of_application)
            return Session(
                file,
                position=position,
                epoch=epoch,
                tables=prepared,
                stops=stops,
                schema_version=schema_version,
                application_schema=of_application,
                past=past,
            )
        except BaseException:
            file.close()
            raise


def _mapper(
    config: Config, source: SourceConfig, file: SourceFile, look: Look, schema_version: int
) -> TableMapper:
    naming = naming_of(config, source)
    return TableMapper(file, source, naming, look=look, schema_version=schema_version)


def _wanted_tables(file: SourceFile, source: SourceConfig, stops: Stops) -> list[str]:
    with file.reading():
        names = _configured(file, source)
        let_go = released.read(file)
    for name in let_go.intersection(names):
        remedy = f"Capture it again with: cdc install --source {source.name} --table {name}"
        stops.let_go(name, remedy)
    return [name for name in names if name not in let_go]


def _configured(file: SourceFile, source: SourceConfig) -> list[str]:
    return [name for name in introspect.table_names(file) if source.captures(name)]


def _check_unmoved(file: SourceFile, source: SourceConfig, stops: Stops) -> None:
    """Raise SchemaMoved where the application has changed its schema since the installation.

    A migration is many statements, and we may look at the file between any two of them. Tables that
    were refused or released have no capture to look for.
    """
    wanted = [name for name in _configured(file, source) if name not in stops.errors]
    found = verify(file, wanted, breathe=file.breathe)
    if set(found.values()) - {Finding.INTACT}:
        raise SchemaMoved(f"The schema of {file.path} changed.")


def _renumbered(tables: list[state.CapturedTable], now: int) -> set[str]:
    """Tables without a key whose rowids a VACUUM may have renumbered since they were copied.

    VACUUM fires no trigger, but like any change of the schema but a freeze it moves what
    `application_schema` tells, which is `now`.
    """
    return {t.name for t in tables if t.definition.get("rowids_as_of") not in (None, now)}


def _check_not_renumbered(
    file: SourceFile,
    now: int,
    tables: list[state.CapturedTable],
    found: Mapping[str, Finding],
) -> None:
    """Raise SchemaMoved where a VACUUM came since the captures were found to be intact."""
    late = _renumbered(tables, now)
    if any(found.get(name) is Finding.INTACT for name in late):
        raise SchemaMoved(f"The schema of {file.path} changed.")


def _read_to(file: SourceFile, known: state.Source | None) -> int | None:
    """The last event that was read under a schema whose captures had been found intact.

    A session reads no further than the schema stays as it was.
    """
    with file.reading():
        own = log_of(file)
    return known.applied_seq if known and own and own.id == known.log_id else None


def _report_stops(source: SourceConfig, stops: Stops) -> None:
    for table, error in stops.errors.items():
        log.error(
            "Table %s is stopped, the others go on: %s",
            table,
            error.line,
            extra=fields("table_stopped", source=source.name, table=table),
        )


def _report(source: SourceConfig, found: dict[str, Finding]) -> None:
    for finding, done in _DONE.items():
        tables = [table for table, each in found.items() if each is finding]
        if tables:
            log.info(
                "Capture %s: %s.",
                done,
                ", ".join(tables),
                extra=fields("capture_" + finding.value, source=source.name, tables=tables),
            )
    for table in (table for table, each in found.items() if each is Finding.HOLE):
        log.warning(
            "The capture of table %s had a gap (a trigger or a unique index changed, or its rowids"
            " moved): it is mended, and the table is copied again.",
            table,
            extra=fields("capture_hole", source=source.name, table=table),
        )


_DONE: Final = {
    Finding.NEW: "installed",
    Finding.RENAMED: "renewed under a new name",
    Finding.RESHAPED: "renewed, since columns or keys changed",
    Finding.OUTDATED: "upgraded to this version of cdc",
    Finding.UNWANTED: "ended, since excluded, released or gone",
}
