"""A chunk is what a table held at one moment of its log, however many short reads it took."""

import pytest

from cdc.config import Config, ReplicationConfig, SourceConfig
from cdc.config.settings import PostgresConfig
from cdc.pipeline.copying import ChunkSource, Stand
from cdc.pipeline.session import open_session
from cdc.postgres.apply import Applier
from cdc.stop import Stop

BEGINNING = Stand(None, None)


@pytest.fixture
def chunks(site):
    """The chunks of a table of 40 rows, in reads of one row each."""
    site.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    site.sqlite("INSERT INTO t VALUES (?, 'x')", *((i,) for i in range(40)))
    source = SourceConfig(name="shop", path=site.file())
    config = Config(
        path=site.config_path,
        postgres=PostgresConfig(),
        sources=(source,),
        replication=ReplicationConfig(),
    )
    with site.target() as target:
        session = open_session(config, source, target, Stop())
        yield ChunkSource(session, session.tables[0], Applier(), 0.0)
        session.close()


def read_all(chunks):
    sizes, stand = [], BEGINNING
    while True:
        copied = chunks.read(stand, completes=True)
        sizes.append(len(copied.chunk.rows))
        stand = copied.end
        if copied.reached_end:
            return sizes


def test_chunk_takes_more_reads_while_nothing_is_written(chunks):
    """The first is there at once, so that the server has something to do; then they grow."""
    assert read_all(chunks) == [1, 2, 4, 8, 16, 9]


def test_chunk_ends_where_something_was_written(site, chunks, monkeypatch):
    """The rows of a later read would be those of another moment."""
    read_some = chunks._read_some

    def write_behind(*args, as_of=None):
        found = read_some(*args, as_of=as_of)
        if as_of is None:
            site.sqlite("UPDATE t SET v = v || 'y'")
        return found

    monkeypatch.setattr(chunks, "_read_some", write_behind)
    assert read_all(chunks) == [1] * 40 + [0]


@pytest.mark.parametrize("limit", [6, 7])
def test_chunk_keeps_its_bound(chunks, limit):
    """However many reads it takes."""
    chunks._limit = type(chunks._limit)(0.0, limit)
    assert max(read_all(chunks)) == limit
