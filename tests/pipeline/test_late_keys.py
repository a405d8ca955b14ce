"""A key that is built behind its rows: beside the copies that follow, and never forgotten."""

from contextlib import contextmanager

import psycopg
import pytest

from cdc.config import Config, ReplicationConfig, SourceConfig
from cdc.config.settings import PostgresConfig
from cdc.pipeline import chunking
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import open_session
from cdc.postgres import tables
from cdc.postgres.connection import Target
from cdc.stop import Stop
from tests.support.comparison import compare_source

TABLES = """
CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE b (id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE small (id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO a WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
SELECT i, 'row ' || i FROM n;
INSERT INTO b SELECT id, v FROM a;
INSERT INTO small SELECT id, v FROM a LIMIT 3;
"""
WRITES = (
    "INSERT INTO a VALUES (1000, 'behind'); UPDATE a SET v = 'new' WHERE id % 3 = 0;"
    "DELETE FROM a WHERE id % 7 = 0; UPDATE a SET id = 2000 WHERE id = 1;"
)


class Copy:
    """The copy of a site's tables, in chunks of 50 rows, step by step."""

    def __init__(self, site, target):
        self.source = SourceConfig(name="shop", path=site.file())
        self._site, self._target = site, target
        config = Config(
            path=site.config_path,
            postgres=PostgresConfig(),
            sources=(self.source,),
            replication=ReplicationConfig(),
        )
        session = open_session(config, self.source, target, Stop())
        self._replication = Replication(
            "shop",
            session,
            target,
            config.replication,
            SourceProgress("shop"),
            synchronous_commit=False,
        )
        self.step, self.close = self._replication.step, self._replication.close

    def step_until(self, done):
        while not done():
            assert self.step()

    def check(self):
        """Nothing is left to do, nothing differs, and every table has its key."""
        while self.step():
            pass
        assert all(each.equal for each in compare_source(self.source, self._target))
        with self._target.lease() as conn:
            assert tables.without_key(conn, "shop") == set()


@pytest.fixture
def shop(site, monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK_VALUES", 100)
    site.sqlite(TABLES)
    return site


@contextmanager
def reader_of_a(site):
    """Somebody who reads table a for a while, so that nobody can build its key."""
    with psycopg.connect(site.dsn) as conn:
        conn.execute("LOCK TABLE a IN ACCESS SHARE MODE")
        yield


def rows(site, table):
    return site.postgres(f"SELECT count(*) FROM {table}")[0][0]


def states(site):
    return dict(site.postgres("SELECT name, state FROM cdc.captured_table"))


def test_next_table_is_copied_while_a_key_is_built(shop):
    """And the one without its key is not live: whoever reads is told that it is not complete."""
    with shop.target() as target:
        copy = Copy(shop, target)
        try:
            copy.step_until(lambda: rows(shop, "a") == 50)
            with reader_of_a(shop):
                copy.step_until(lambda: rows(shop, "b") == 200 and rows(shop, "small") == 3)
                assert states(shop) == {"a": "copying", "b": "copying", "small": "live"}
                shop.sqlite(WRITES)
            copy.check()
        finally:
            copy.close()


def test_every_table_is_copied_once(shop, caplog):
    """One whose rows are a single chunk has its key from the start, and is not read again."""
    caplog.set_level("INFO", "cdc.pipeline.replicate")
    with shop.target() as target:
        copy = Copy(shop, target)
        try:
            copy.check()
        finally:
            copy.close()
    copied = [r.fields["table"] for r in caplog.records if r.action == "copied"]
    assert sorted(copied) == ["a", "b", "small"]


def test_key_that_was_cut_off_is_built_by_the_next_session(shop):
    """What was written meanwhile is found by it, then as before."""
    with shop.target() as target:
        copy = Copy(shop, target)
        try:
            copy.step_until(lambda: rows(shop, "a") == 50)
            with reader_of_a(shop):
                copy.step_until(lambda: rows(shop, "b") == 200)
                target.abandon()  # as when the process is killed
                copy.close()
        finally:
            copy.close()
    shop.sqlite(WRITES)
    with shop.target() as target:
        with target.lease() as conn:
            assert "a" in tables.without_key(conn, "shop")
        copy = Copy(shop, target)
        try:
            copy.check()
        finally:
            copy.close()


def test_events_wait_for_the_key_that_they_need(shop):
    """A table holds nothing but rows of chunks until it has its key."""
    with shop.target() as target:
        copy = Copy(shop, target)
        try:
            copy.step_until(lambda: rows(shop, "a") == 200)
            for i in range(5):
                shop.sqlite(WRITES.replace("1000", f"{3000 + i}").replace("2000", f"{4000 + i}"))
                copy.step()
            copy.check()
        finally:
            copy.close()


def test_one_connection_is_enough(shop):
    """Then the key is built when the table has to have it, before it goes live."""
    with Target(shop.dsn, max_connections=1) as target:
        copy = Copy(shop, target)
        try:
            copy.step_until(lambda: states(shop)["b"] == "live")
            with target.lease() as conn:
                assert "b" not in tables.without_key(conn, "shop")
            copy.check()
        finally:
            copy.close()
