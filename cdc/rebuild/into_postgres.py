"""A replay's pieces on their way into PostgreSQL, wherever there their position is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cdc.errors import UniqueConflict, ValueDoesNotFit
from cdc.mapping.table import MappedTable
from cdc.pipeline.batch import Compactor
from cdc.postgres.apply import Applier, Changes
from cdc.postgres.changes import Advance, Chunk, Prepared
from cdc.postgres.connection import Connection
from cdc.postgres.ledger import Ledger
from cdc.postgres.quarantine import Quarantine
from cdc.postgres.wire import Packed
from cdc.rebuilt import Standing
from cdc.replay.pieces import BaselinePiece, Piece
from cdc.schema import Row


@dataclass(frozen=True, slots=True)
class PreparedPiece:
    """A piece, ready to be sent; `changes` is None where it needs care."""

    piece: Piece
    changes: Changes | None
    chunk: Chunk | None


class PostgresWriter:
    """Writes the pieces of one source, each in a transaction. `epoch` is the gate's."""

    def __init__(
        self,
        conn: Connection,
        source: str,
        tables: Mapping[int, MappedTable],
        standing: Standing,
        *,
        ledger: Ledger,
        quarantine: Quarantine,
        epoch: int = 0,
    ) -> None:
        self._conn = conn
        self._source = source
        self._tables = tables
        self.standing = standing
        self._epoch = epoch
        self._quarantine = quarantine
        # What came from PostgreSQL once is the file's by now, like any other row.
        self._compactor = Compactor(tables, from_anybody=True)
        self._applier = Applier(quarantine=quarantine, ledger=ledger)

    def prepare(self, piece: Piece) -> PreparedPiece:
        """Pack a piece; needs no connection."""
        try:
            changes = self._prepare_changes(piece)
            chunk = None
            if (base := piece.base) is not None:
                packing = self._applier.begin_packing(self._tables[base.layout])
                packing.add(base.chunk.rows)
                chunk = self._chunk(base, packing.end())
        except ValueDoesNotFit:
            if not self._sets_aside():
                raise
            return PreparedPiece(piece, None, None)
        return PreparedPiece(piece, changes, chunk)

    def _prepare_changes(self, piece: Piece) -> Prepared:
        changes = self._compactor.arrange if piece.apart else self._compactor.compact
        ready = self._applier.prepare_many(map(changes, piece.groups))
        return ready or self._applier.prepare(self._compactor.compact(piece.events))

    def write(self, prepared: PreparedPiece) -> bool:
        """Commit a piece; False where it needs care."""
        if prepared.changes is None:
            return False
        try:
            self._apply(prepared.piece, prepared.changes, prepared.chunk)
        except UniqueConflict:
            return False
        except ValueDoesNotFit:
            if not self._sets_aside():
                raise
            return False
        return True

    def write_carefully(self, piece: Piece) -> None:
        """Commit a piece whose rows may be refused one by one, or be in each other's way."""
        compacted = self._compactor.compact(piece.events)
        changes = self._applier.prepare(compacted, careful=True, clear=True)
        chunk = None if piece.base is None else self._chunk(piece.base, piece.base.chunk.rows)
        self._apply(piece, changes, chunk, careful=self._sets_aside())

    def _apply(
        self, piece: Piece, changes: Changes, chunk: Chunk | None, *, careful: bool = False
    ) -> None:
        before, end = self.standing, piece.end
        after = replace(before, chunks=piece.chunks)
        if end is not None:
            after = replace(after, seq=end.seq, digest=end.digest, at=end.at)
        advance = Advance(
            source=self._source,
            from_seq=before.seq,
            to_seq=after.seq,
            digest=after.digest,
            at=after.at,
            boundary=False,
            epoch=self._epoch,
        )
        self._applier.apply(self._conn, advance, changes, chunk, careful=careful)
        self.standing = after

    def _chunk(self, base: BaselinePiece, rows: Packed | list[Row]) -> Chunk:
        return Chunk(
            table=self._tables[base.layout],
            rows=rows,
            after_key=base.chunk.after,
            last_key=None if base.chunk.last else base.chunk.place,
            fresh=True,
        )

    def _sets_aside(self) -> bool:
        return any(self._quarantine.takes_any(table) for table in self._tables.values())
