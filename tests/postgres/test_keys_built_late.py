"""The primary key of a table that is being copied comes behind the rows, and is never missed."""

from contextlib import contextmanager

import psycopg
import pytest

from cdc.mapping.types import BIGINT, TEXT
from cdc.pipeline.late_keys import LateKeys
from cdc.postgres import queue, tables
from cdc.postgres.apply import Applier, Chunk

APPLIER = Applier()


def test_key_is_taken_off_an_empty_table_only(conn, create, advance):
    """Rows that events brought need the key; they are found by it."""
    table = create("t", id=BIGINT, v=TEXT)
    APPLIER.apply(conn, advance(0), [], Chunk(table, [(1, "a")], None, (1,), fresh=True))
    assert not tables.drop_key(conn, table)
    assert tables.without_key(conn, "legacy") == set()


def test_key_comes_back(conn, create, advance):
    """As it was, over the rows that came meanwhile."""
    table = create("t", "target", ["a", "b"], b=TEXT, a=BIGINT)
    assert tables.drop_key(conn, table)
    assert tables.drop_key(conn, table)
    assert tables.without_key(conn, "legacy") == {"t"}
    APPLIER.apply(conn, advance(0), [], Chunk(table, [("x", 1)], None, (1, "x"), fresh=True))
    tables.add_key(conn, table)
    tables.add_key(conn, table)
    assert tables.without_key(conn, "legacy") == set()
    conn.execute("SET cdc.session = 'on'")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("INSERT INTO target.t (a, b) VALUES (1, 'x')")


def test_key_columns_stay_not_null(conn, create):
    """Also in the versions of PostgreSQL that take NOT NULL off with the key."""
    table = create("t", id=BIGINT, v=TEXT)
    tables.drop_key(conn, table)
    conn.execute("SET cdc.session = 'on'")
    with pytest.raises(psycopg.errors.NotNullViolation):
        conn.execute("INSERT INTO target.t (id) VALUES (NULL)")


class OneConnection:
    """A target that has no second one to build keys on."""

    many = False

    def __init__(self, conn):
        self._conn = conn

    @contextmanager
    def lease(self):
        yield self._conn


def test_queue_comes_with_the_key(conn, create):
    """Its triggers, which look at every row, are off while the rows of the first copy are sent."""
    table = create("t", id=BIGINT, v=TEXT)
    queue.follow(conn, "legacy", [table])
    keys = LateKeys("legacy", OneConnection(conn), set())
    keys.take_off(table)
    assert queue.followed(conn, "legacy", [table]) == 0
    keys.begin(table)
    keys.require(table)
    keys.close()
    assert queue.followed(conn, "legacy", [table]) == 1
    assert tables.without_key(conn, "legacy") == set()


def test_queue_of_a_table_that_has_rows_stays(conn, create, advance):
    """As its key does: somebody may have begun to write to it."""
    table = create("t", id=BIGINT, v=TEXT)
    queue.follow(conn, "legacy", [table])
    APPLIER.apply(conn, advance(0), [], Chunk(table, [(1, "a")], None, (1,), fresh=True))
    keys = LateKeys("legacy", OneConnection(conn), set())
    keys.take_off(table)
    keys.close()
    assert queue.followed(conn, "legacy", [table]) == 1
