"""A schema that a replay makes: its tables, and beside them how far it is.

It is nobody's target: there is no guard, and nothing follows. What a table cannot hold is kept
whole in a quarantine of the schema's own, whose columns are those of `cdc.quarantine`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import RawCursor, sql
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8

from cdc.errors import DestinationTaken, TargetRefused
from cdc.mapping.table import MappedTable
from cdc.postgres import advisory, ddl
from cdc.postgres.changes import Advance, Chunk
from cdc.postgres.connection import Connection
from cdc.postgres.ledger import BEGIN
from cdc.postgres.quarantine import Quarantine, read_keys
from cdc.postgres.translate import translated
from cdc.postgres.writer import GO_BY_INDEX
from cdc.rebuilt import Standing
from cdc.resources import load_sql

STATE: Final = "_cdc_replay"
QUARANTINE: Final = "_cdc_quarantine"

MOST_ASIDE: Final = 10_000_000
"""As many rows as any configuration lets a source set aside: they may all come back here."""


@dataclass(frozen=True, slots=True)
class RebuiltTable:
    """A table of a replay: `kept` is what is remembered of it (JSON), its mapping included."""

    layout: int
    baseline: int
    mapped: MappedTable
    kept: Mapping[str, Any]


class RebuiltSchema:
    """The part of one source in a schema. For one connection, which holds it for its own."""

    def __init__(self, conn: Connection, schema: str, source: str) -> None:
        if schema == "cdc":
            raise TargetRefused(
                "the schema cdc holds the state of cdc itself", hint="name another schema"
            )
        self._conn = conn
        self._schema = schema
        self._source = source
        self._state = sql.Identifier(schema, STATE)
        self._quarantine = sql.Identifier(schema, QUARANTINE)

    def take(self) -> None:
        """Keep every other replay out of it, for as long as the connection lasts."""
        key = advisory.key_of(f"cdc replay {self._schema} {self._source}")
        if not advisory.take(self._conn, key, patience=advisory.ENDING_SECONDS):
            raise DestinationTaken(
                f"Another replay of {self._source} writes to the schema {self._schema}.",
                hint="Wait for its end, or name another schema.",
            )

    def found(self) -> tuple[Standing, Sequence[Mapping[str, Any]]] | None:
        """How far it is, and what was kept of each table; None where nothing is begun."""
        if not self._exists(STATE):
            return None
        query = sql.SQL(
            "SELECT log_id, seq, digest, at, chunks, tables FROM {} WHERE source = %s"
        ).format(self._state)
        with translated(f"read {self._schema}.{STATE}"):
            row = self._conn.execute(query.as_bytes(self._conn), (self._source,)).fetchone()
        if row is None:
            return None
        log_id, seq, digest, at, chunks, kept = row
        baselines = {table["layout"]: table["baseline"] for table in kept}
        return Standing(log_id, seq, digest, at, chunks, baselines), kept

    def begin(self, tables: Sequence[RebuiltTable], standing: Standing) -> None:
        """Make the tables, in one transaction. Raises DestinationTaken where a name is taken."""
        with translated(f"make the tables of {self._schema}"), self._conn.transaction():
            self._make_schema()
            for table in tables:
                if self._exists(table.mapped.name):
                    raise DestinationTaken(
                        f"{self._schema}.{table.mapped.name} is there already, and no replay of"
                        f" {self._source} has made it.",
                        hint="Name another schema; or move or drop that table.",
                    )
                design = ddl.design(table.mapped)
                for statement in (design.create, *design.comments):
                    self._conn.execute(statement.encode())
            insert = sql.SQL(
                "INSERT INTO {} (source, log_id, seq, digest, at, tables)"
                " VALUES (%s, %s, %s, %s, %s, %s)"
            ).format(self._state)
            place = (standing.log_id, standing.seq, standing.digest, standing.at)
            kept = Jsonb([dict(table.kept) for table in tables])
            self._conn.execute(insert.as_bytes(self._conn), (self._source, *place, kept))

    def quarantine(self) -> Quarantine:
        """Where rows go that the tables cannot hold."""
        known = read_keys(self._conn, self._source, self._quarantine)
        place = self._quarantine
        return Quarantine(self._source, known, takes_all=True, place=place, most=MOST_ASIDE)

    def set_aside(self) -> dict[str, int]:
        """How many rows of each table are in the quarantine."""
        query = sql.SQL("SELECT name, count(*) FROM {} WHERE source = %s GROUP BY name").format(
            self._quarantine
        )
        with translated(f"count {self._schema}.{QUARANTINE}"):
            return dict(self._conn.execute(query.as_bytes(self._conn), (self._source,)).fetchall())

    def ledger(self) -> "SchemaLedger":
        """What keeps its position."""
        return SchemaLedger(self._state)

    def _make_schema(self) -> None:
        found = self._conn.execute(
            "SELECT FROM pg_namespace WHERE nspname = %s", (self._schema,)
        ).fetchone()
        if found is None:  # IF NOT EXISTS would ask for the right to make one even so
            make = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self._schema))
            self._conn.execute(make.as_bytes(self._conn))
        made = sql.SQL(load_sql("postgres/rebuilt.sql")).format(
            state=self._state, quarantine=self._quarantine
        )
        self._conn.execute(made.as_bytes(self._conn))

    def _exists(self, name: str) -> bool:
        with translated(f"look for {self._schema}.{name}"):
            return bool(
                self._conn.execute(
                    "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                    " WHERE n.nspname = %s AND c.relname = %s",
                    (self._schema, name),
                ).rowcount
            )


class SchemaLedger:
    """Keeps the position of a replay in its own schema."""

    def __init__(self, state: sql.Identifier) -> None:
        # Where the position is another one, it would become NULL, which it cannot be.
        self._advance = (
            sql.SQL(
                "UPDATE {} SET seq = CASE WHEN seq = $2 THEN $3 END, digest = $4,"
                " at = coalesce($5::float8, at), updated_at = clock_timestamp() WHERE source = $1"
            )
            .format(state)
            .as_bytes(None)
        )
        self._copied = (
            sql.SQL("UPDATE {} SET chunks = chunks + 1 WHERE source = $1")
            .format(state)
            .as_bytes(None)
        )

    def begin(self, conn: Connection, advance: Advance) -> None:  # noqa: ARG002  (as of `Ledger`)
        """As of `Ledger`; whether the position is the right one shows at the end."""
        conn.execute(BEGIN)
        RawCursor(conn).execute(
            b"SELECT set_config('synchronous_commit', 'off', true), " + GO_BY_INDEX, prepare=True
        )

    def copied(self, conn: Connection, source: str, chunk: Chunk, rows: int) -> None:  # noqa: ARG002  (as of `Ledger`)
        """As of `Ledger`."""
        RawCursor(conn).execute(self._copied, (source,), prepare=True)

    def finish(self, conn: Connection, advance: Advance) -> None:
        """As of `Ledger`."""
        place = (Int8(advance.from_seq), Int8(advance.to_seq), advance.digest, advance.at)
        RawCursor(conn).execute(self._advance, (advance.source, *place), prepare=True)
        conn.execute(b"COMMIT")
