"""A database with the schema `cdc` in it, a source, and shapes of tables to play with."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import TargetType
from cdc.postgres import state, tables
from cdc.postgres.apply import Advance
from cdc.postgres.connection import Connection, Target
from cdc.postgres.gate import read_gate
from cdc.schema import Column, Table

SOURCE = "legacy"


@pytest.fixture
def target(dsn) -> Iterator[Target]:
    with Target(dsn) as target:
        yield target


@pytest.fixture
def conn(target) -> Iterator[Connection]:
    """A connection of ours to a database with the schema `cdc` and the source `legacy`."""
    with target.lease() as conn:
        state.install(conn)
        state.register_source(
            conn, SOURCE, path="/legacy.db", log_id="log", applied_seq=0, digest=None
        )
        yield conn


@pytest.fixture
def outsider(dsn, conn) -> Iterator[psycopg.Connection]:
    """Somebody else's connection, in autocommit mode."""
    with psycopg.connect(dsn, autocommit=True) as other:
        yield other


@pytest.fixture
def shape() -> Callable[..., MappedTable]:
    """`shape("t", "schema", ["id"], id=BIGINT, v=TEXT)`; the key is the first column otherwise."""

    def make(name: str, schema: str = "target", key=None, /, **columns: TargetType) -> MappedTable:
        return shaped(name, schema, list(columns.items()), key or [next(iter(columns))])

    return make


def shaped(
    name: str, schema: str, columns: list[tuple[str, TargetType]], key: list[str]
) -> MappedTable:
    names = [column for column, _ in columns]
    return MappedTable(
        Table(
            name,
            tuple(Column(column, "", "BLOB") for column in names),
            tuple(names.index(column) for column in key),
        ),
        schema,
        name,
        tuple(TargetColumn(column, type_, i) for i, (column, type_) in enumerate(columns)),
    )


@pytest.fixture
def create(conn, shape) -> Callable[..., MappedTable]:
    """As `shape`, and the table is there."""

    def make(*args, **columns: TargetType) -> MappedTable:
        table = shape(*args, **columns)
        tables.make_table(conn, SOURCE, table, definition={}, since_seq=0)
        return table

    return make


@pytest.fixture
def advance(conn) -> Callable[..., Advance]:
    """The next step of the source's position, `by` events further."""

    def make(by: int = 1, **changes) -> Advance:
        known = state.source(conn, SOURCE)
        assert known is not None
        step = {
            "source": SOURCE,
            "from_seq": known.applied_seq,
            "to_seq": known.applied_seq + by,
            "digest": b"digest",
            "at": 2461000.5 + known.applied_seq,
            "boundary": True,
            "epoch": read_gate(conn).epoch,
        }
        return Advance(**(step | changes))

    return make


@pytest.fixture
def content(dsn) -> Callable[[MappedTable], list[tuple]]:
    """The committed rows of a table as another session sees them, in key order."""

    def read(table: MappedTable) -> list[tuple]:
        name = psycopg.sql.Identifier(table.schema, table.name)
        key = psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(c.name) for c in table.key_columns)
        query = psycopg.sql.SQL("SELECT * FROM {} ORDER BY {}").format(name, key)
        with psycopg.connect(dsn) as other, other.cursor(binary=True) as cur:
            return cur.execute(query.as_bytes(other)).fetchall()

    return read
