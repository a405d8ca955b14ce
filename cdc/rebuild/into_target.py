"""A replay into the target itself, in the place of the daemon: under the source's lock, behind the
gate, and with the target's own position.
"""

from cdc.config import Config
from cdc.crossing.fitting import Look
from cdc.crossing.mapper import TableMapper
from cdc.crossing.names import naming_of
from cdc.errors import GateMoved, SourceReplaced, StateNotKept, TargetRefused
from cdc.mapping.table import MappedTable
from cdc.pipeline.stops import Stops
from cdc.pipeline.tables import ReplicatedTable, TablePreparation
from cdc.postgres import hold_back, quarantine, replays, state, tables
from cdc.postgres.connection import Connection
from cdc.postgres.constraints import drop_indexes
from cdc.postgres.gate import read_gate
from cdc.postgres.mending import empty_table
from cdc.postgres.translate import translated
from cdc.rebuild.into_postgres import PostgresWriter, PreparedPiece
from cdc.rebuilt import Standing
from cdc.replay.pieces import Piece
from cdc.replay.plan import Plan, go_on
from cdc.replay.store import Store
from cdc.sqlite import direction, log
from cdc.sqlite.captures import Captured, captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.moves import application_schema
from cdc.sqlite.verification import Finding, verify


class TargetDestination:
    """Rebuilds the target of one source. The caller holds the source's lock."""

    def __init__(self, conn: Connection, config: Config, store: Store) -> None:
        self._conn = conn
        self._config = config
        self._store = store
        self._source = store.source
        self._goal_is_whole = False
        self.tables: dict[int, MappedTable] = {}

    def begin(self, plan: Plan) -> Plan:
        """As of `Destination`: what the target holds of the source goes, unless a replay that has
        not ended has made it.
        """
        file = self._file()
        with file.reading():
            direction.refuse_way_back(file, "to rebuild PostgreSQL")
        target = state.install(self._conn)
        gate = read_gate(self._conn)
        if gate.open:
            raise GateMoved(
                "PostgreSQL takes the writes now: it is not rebuilt from SQLite's events",
                hint="cdc rollback makes SQLite the master again.",
            )
        self._refuse_later_returns(plan)
        with file.reading():
            own, captures = log.read(file), self._captures(file)
        self._refuse_other_shapes(plan, captures)
        self._refuse_strangers(own, target.id)
        standing = replays.standing(self._conn, self._source.name)
        if standing is not None:
            plan = go_on(self._store, plan, standing)
        prepared, begun = self._prepare(file, plan, captures, standing)
        if own is not None and own.target != target.id:
            log.claim(file, target.id)
        self._hold_pruned(file)
        self._goal_is_whole = plan.goal.whole
        self.tables = {table.layout: table.mapped for table in prepared}
        takes_all = self._config.replication.on_error == "quarantine"
        known = quarantine.read_keys(self._conn, self._source.name)
        self._writer = PostgresWriter(
            self._conn,
            self._source.name,
            self.tables,
            begun,
            ledger=replays.ReplayLedger(synchronous_commit=False),
            quarantine=quarantine.Quarantine(self._source.name, known, takes_all=takes_all),
            epoch=gate.epoch,
        )
        return plan

    @property
    def standing(self) -> Standing:
        """As of `Destination`."""
        return self._writer.standing

    @property
    def set_aside(self) -> dict[str, int]:
        """How many rows of each table are in the quarantine."""
        return quarantine.counts(self._conn, self._source.name)

    def prepare(self, piece: Piece) -> PreparedPiece:
        """As of `Destination`."""
        return self._writer.prepare(piece)

    def write(self, prepared: PreparedPiece) -> bool:
        """As of `Destination`."""
        return self._writer.write(prepared)

    def write_carefully(self, piece: Piece) -> None:
        """As of `Destination`."""
        self._writer.write_carefully(piece)

    def finish(self) -> list[str]:
        """As of `Destination`: from here on `cdc run` goes on, which makes the indexes as well."""
        place = self.standing
        digest, at = place.digest, place.at
        if digest is None and (found := self._store.position(place.seq)) is not None:
            digest, at = found.digest, found.at
        with translated("end the replay"), self._conn.transaction():
            state.set_back(self._conn, self._source.name, seq=place.seq, digest=digest, at=at)
            if self._goal_is_whole:
                state.record_boundary(self._conn, self._source.name, place.seq, at)
            replays.end(self._conn, self._source.name)
        state.set_state(self._conn, self._source.name, "stopped", "rebuilt by cdc replay")
        return []

    def _file(self) -> SourceFile:
        if self._store.reader is None:
            raise TargetRefused(
                f"{self._store.missing.rstrip('.')}: without it nobody can say what the target"
                " follows",
                hint="Bring the file back, or replay --into-schema, --into-dsn or --into-sqlite.",
            )
        return self._store.reader.file

    def _captures(self, file: SourceFile) -> list[Captured]:
        """The captures that the target follows; within a read transaction."""
        return [each for each in captured(file) if self._source.captures(each.name)]

    def _refuse_other_shapes(self, plan: Plan, captures: list[Captured]) -> None:
        file = self._file()
        with file.reading():
            found = verify(file, [each.name for each in captures])
        usable = {Finding.INTACT, Finding.OUTDATED}
        broken = [each.name for each in captures if found[each.name] not in usable]
        if broken:
            raise StateNotKept(
                f"The capture of {', '.join(broken)} in {file.path} is not what it was.",
                hint="Let cdc run bring it into order first.",
            )
        if {each.layout for each in captures} != {table.layout for table in plan.tables}:
            raise StateNotKept(
                f"At event {plan.goal.seq:,} the tables of {self._source.name} were others than the"
                " target follows now, or of another shape.",
                hint="Replay to a later event; or --into-schema, --into-dsn or --into-sqlite.",
            )

    def _refuse_strangers(self, own: log.Log | None, target: str) -> None:
        """Refuse a file that is not the one that the target knows."""
        known = state.source(self._conn, self._source.name)
        if own is None or known is None or own.target is None:
            return  # whoever wants a target rebuilt that knows nothing of the file says so
        if own.target != target or known.log_id != own.id:
            raise SourceReplaced(
                f"{self._source.path} is not the file that {self._source.name} was replicated"
                " from.",
                hint="See cdc status and docs/operations.md.",
            )

    def _refuse_later_returns(self, plan: Plan) -> None:
        """Refuse a goal behind which rows came from PostgreSQL: the daemon passes over those."""
        seq = plan.goal.seq
        if self._store.has_returns(seq):
            raise StateNotKept(
                f"Behind event {seq:,} rows came back from PostgreSQL: the target can only be"
                " rebuilt with them.",
                hint="Replay to the end; or --into-schema, --into-dsn or --into-sqlite.",
            )

    def _prepare(
        self, file: SourceFile, plan: Plan, captures: list[Captured], standing: Standing | None
    ) -> tuple[list[ReplicatedTable], Standing]:
        """The tables, and where their replay stands; what was there goes, without a `standing`."""
        place = standing or self._beginning(plan)
        with translated("make the target tables"), self._conn.transaction():
            state.lock_making(self._conn)
            tables.forget_missing(self._conn, self._source.name)
            stops = Stops(at_once=False)
            prepared = self._preparation(file, place.seq).prepare(captures, stops)
            for each in captures:
                if each.name in stops.errors:
                    raise stops.errors[each.name]
            if standing is None:
                for table in prepared:
                    drop_indexes(self._conn, table.mapped)
                    empty_table(self._conn, table.mapped)
                    tables.add_key(self._conn, table.mapped)
                    state.begin_anew(self._conn, self._source.name, table.name, place.seq)
                empty = [t.name for t in plan.tables if t.baseline is None]
                replays.begin(self._conn, self._source.name, str(self._source.path), place, empty)
        return prepared, place

    def _beginning(self, plan: Plan) -> Standing:
        position = self._store.position(plan.start)
        digest, at = (position.digest, position.at) if position else (None, None)
        return Standing(self._store.log_id, plan.start, digest, at, 0, plan.numbers)

    def _preparation(self, file: SourceFile, seq: int) -> TablePreparation:
        config, source = self._config, self._source
        with file.reading():
            version, of_application = file.schema_version, application_schema(file)
        look = Look(config.replication.lock_bound_ms / 1000, lambda: False)
        naming = naming_of(config, source)
        mapper = TableMapper(file, source, naming, look=look, schema_version=version)
        return TablePreparation(
            self._conn,
            mapper,
            source,
            schema_version=version,
            application_schema=of_application,
            seq=seq,
        )

    def _hold_pruned(self, file: SourceFile) -> None:
        """Let PostgreSQL know what is pruned: a schema that is new does not."""
        with file.reading():
            first = Changelog(file).first()
        if first > 1:
            hold_back.give_up(self._conn, self._source.name, first - 1)
