"""A replay into a schema of its own, of any database."""

from dataclasses import replace

from cdc.mapping import definition
from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Connection
from cdc.postgres.rebuilt import RebuiltSchema, RebuiltTable
from cdc.rebuild.into_postgres import PostgresWriter, PreparedPiece
from cdc.rebuild.replay_mapping import ReplayMapper, capture_id
from cdc.rebuilt import Standing
from cdc.replay.pieces import Piece
from cdc.replay.plan import Plan, go_on
from cdc.replay.store import Store


class SchemaDestination:
    """Rebuilds the tables of one source in a schema."""

    def __init__(self, conn: Connection, schema: str, store: Store, mapper: ReplayMapper) -> None:
        self._conn = conn
        self._schema = schema
        self._store = store
        self._mapper = mapper
        self._source = store.source.name
        self._place = RebuiltSchema(conn, schema, self._source)
        self.tables: dict[int, MappedTable] = {}

    def begin(self, plan: Plan) -> Plan:
        """As of `Destination`."""
        self._place.take()
        found = self._place.found()
        if found is None:
            standing = Standing(self._store.log_id, plan.start, None, None, 0, plan.numbers)
            self.tables = self._mapper.map(self._store, plan)
            self._place.begin([self._kept(each, plan) for each in self.tables.items()], standing)
        else:
            standing, kept = found
            plan = go_on(self._store, plan, standing)
            by_layout = {each["layout"]: each for each in kept}
            for table in plan.tables:
                known = by_layout[table.layout]
                mapped = definition.load(
                    known, table.life.table, known["capture"], self._schema, known["target"]
                )
                assert mapped is not None
                self.tables[table.layout] = replace(mapped, fold=known["fold"])
        self._writer = PostgresWriter(
            self._conn,
            self._source,
            self.tables,
            standing,
            ledger=self._place.ledger(),
            quarantine=self._place.quarantine(),
        )
        return plan

    @property
    def standing(self) -> Standing:
        """As of `Destination`."""
        return self._writer.standing

    @property
    def set_aside(self) -> dict[str, int]:
        """How many rows of each table no column could hold."""
        return self._place.set_aside()

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
        """As of `Destination`: nothing is left to do."""
        return []

    def close(self) -> None:
        """Let go of the schema, and of the connection, to which that is bound."""
        self._conn.close()

    def _kept(self, made: tuple[int, MappedTable], plan: Plan) -> RebuiltTable:
        layout, mapped = made
        table = next(each for each in plan.tables if each.layout == layout)
        baseline = plan.numbers[layout]
        kept = definition.dump(mapped, capture_id(self._store, table)) | {
            "layout": layout,
            "baseline": baseline,
            "target": mapped.name,
            "fold": mapped.fold,
        }
        return RebuiltTable(layout, baseline, mapped, kept)
