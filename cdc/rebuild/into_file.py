"""A replay into a SQLite file of its own."""

from pathlib import Path

from cdc.rebuilt import Standing
from cdc.replay.lives import Life
from cdc.replay.pieces import Piece
from cdc.replay.plan import Plan, go_on
from cdc.replay.store import Store
from cdc.sqlite import introspect
from cdc.sqlite.rebuilt import MadeTable, RebuiltFile


class FileDestination:
    """Rebuilds the tables of one source in a new file, each with its own DDL where that is kept."""

    def __init__(self, path: Path, store: Store) -> None:
        self._store = store
        self._file = RebuiltFile(path)
        self._notes: list[str] = []

    def begin(self, plan: Plan) -> Plan:
        """As of `Destination`."""
        standing = self._file.standing
        if standing is not None:
            plan = go_on(self._store, plan, standing)
        tables = [MadeTable(t.layout, t.life.table, self._ddl(t.life)) for t in plan.tables]
        if standing is None:
            begun = Standing(self._store.log_id, plan.start, None, None, 0, plan.numbers)
            self._notes += self._file.begin(tables, begun, self._encoding())
        self._file.use(tables)
        return plan

    @property
    def standing(self) -> Standing:
        """As of `Destination`."""
        found = self._file.standing
        assert found is not None
        return found

    def prepare(self, piece: Piece) -> Piece:
        """A piece is written as it is."""
        return piece

    def write(self, prepared: Piece) -> bool:
        """As of `Destination`; any row can be written."""
        before, end, base = self.standing, prepared.end, prepared.base
        after = Standing(
            before.log_id,
            end.seq if end else before.seq,
            end.digest if end else before.digest,
            end.at if end else before.at,
            prepared.chunks,
            before.baselines,
        )
        rows = None if base is None else (base.layout, base.chunk.rows)
        self._file.write(prepared.events, rows, after)
        return True

    def write_carefully(self, piece: Piece) -> None:
        """Nothing needs care here."""
        self.write(piece)

    def finish(self) -> list[str]:
        """As of `Destination`: the indexes; then the file is one of its own."""
        return self._notes + self._file.finish()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _ddl(self, life: Life) -> tuple[str, ...]:
        """What made a table and its indexes: of one that is still so, what the file says now."""
        reader = self._store.reader
        if reader is None or life.ended is not None:
            return life.ddl
        with reader.file.reading():
            return introspect.statements(reader.file, life.name) or life.ddl

    def _encoding(self) -> str | None:
        reader = self._store.reader
        if reader is None:
            return None
        with reader.file.reading():
            return str(reader.file.query("PRAGMA encoding").get)
