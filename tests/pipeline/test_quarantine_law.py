"""A quarantined key has no row in the target, and every other key has, wherever batches fall."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.config import Config, ReplicationConfig, SourceConfig
from cdc.config.columns import ColumnConfig
from cdc.config.settings import PostgresConfig, TableConfig
from cdc.pipeline import chunking
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import open_session
from cdc.postgres import quarantine
from cdc.postgres.apply import Applier
from cdc.stop import Stop
from tests.support.comparison import compare_source

CREATE = """
    CREATE TABLE t (k PRIMARY KEY, v REAL, w TEXT);
    CREATE TABLE r (id INTEGER PRIMARY KEY, u UNIQUE, v REAL);
"""
TABLES = {
    "t": TableConfig(
        columns={
            "k": ColumnConfig(type="bigint"),
            "v": ColumnConfig(type="double precision"),
            "w": ColumnConfig(type="text"),
        }
    ),
    "r": TableConfig(
        columns={
            "u": ColumnConfig(type="literal"),
            "v": ColumnConfig(type="double precision"),
        }
    ),
}

KEYS = st.sampled_from([1, 2, 3, 1.0, 2.5, -0.0, 0, "1", b"1", b"\xff", None])
REALS = st.sampled_from([0.5, -0.0, None, "n/a", b"x"])
TEXTS = st.sampled_from(["a", None, "a\0b", b"x"])
IDS = st.integers(1, 3)
WRITES = st.one_of(
    st.tuples(st.just("INSERT OR REPLACE INTO t VALUES (?, ?, ?)"), KEYS, REALS, TEXTS),
    st.tuples(st.just("UPDATE t SET v = ? WHERE k IS ?"), REALS, KEYS),
    st.tuples(st.just("UPDATE OR REPLACE t SET k = ?, w = ? WHERE k IS ?"), KEYS, TEXTS, KEYS),
    st.tuples(st.just("DELETE FROM t WHERE k IS ?"), KEYS),
    st.tuples(st.just("INSERT OR REPLACE INTO r VALUES (?, ?, ?)"), IDS, IDS, REALS),
    st.tuples(st.just("UPDATE OR REPLACE r SET id = ?, v = ? WHERE id = ?"), IDS, REALS, IDS),
    st.tuples(st.just("DELETE FROM r WHERE u = ?"), IDS),
)
STEPS = st.lists(
    st.one_of(WRITES, st.sampled_from(["replicate", "replicate", "restart", "copy again"])),
    max_size=40,
)


def fits(name, row):
    """Whether a row has a faithful form: told from the values alone, not by the product."""
    real = row[1] if name == "t" else row[2]
    if real is not None and type(real) is not float:
        return False
    if name == "r":
        return True
    key, _, text = row
    return type(key) is int and (text is None or (type(text) is str and "\0" not in text))


class Replica:
    """A file and its target, replicated a few steps at a time."""

    def __init__(self, site, target, batch_events):
        self.site, self.target = site, target
        self.source = SourceConfig(name="shop", path=site.file(), tables=TABLES)
        self.config = Config(
            path=site.config_path,
            postgres=PostgresConfig(),
            sources=(self.source,),
            replication=ReplicationConfig(batch_events=batch_events, on_error="quarantine"),
        )
        self.replication = None

    def step(self):
        if self.replication is None:
            session = open_session(self.config, self.source, self.target, Stop())
            self.replication = Replication(
                "shop",
                session,
                self.target,
                self.config.replication,
                SourceProgress("shop"),
                synchronous_commit=False,
            )
        return self.replication.step()

    def close(self):
        if self.replication is not None:
            self.replication.close()
            self.replication = None

    def copy_again(self):
        """As after a change of the mapping that leaves the columns: chunk upon rows."""
        if self.replication is None:
            return
        self.close()
        self.site.postgres(
            'UPDATE cdc.captured_table SET definition = definition || \'{"capture": "none"}\''
        )

    def check(self):
        """Every row of the file is in the target or in the quarantine, as it fits or not."""
        with self.target.lease() as conn:
            found = {e: quarantine.read_row(conn, e) for e in quarantine.entries(conn)}
        wanted = {}
        for name in TABLES:
            for row in self.site.sqlite(f"SELECT * FROM {name}"):
                if not fits(name, row):
                    wanted.setdefault((name, repr(row[:1])), []).append(row)
        assert {(e.name, repr(e.key)) for e in found} == wanted.keys()
        for (
            entry,
            row,
        ) in found.items():  # several rows may have NULL for their key, and share one entry
            assert repr(tuple(row.values())) in map(repr, wanted[entry.name, repr(entry.key)])
        for comparison in compare_source(self.source, self.target):
            assert comparison.equal, comparison
            rows = [rows for (name, _), rows in wanted.items() if name == comparison.table]
            assert comparison.quarantined == sum(map(len, rows))


@pytest.mark.parametrize("bulk_rows", [1, 3, 1000])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, batch_events=st.sampled_from([1, 2, 3, 50_000]))
def test_every_key_is_in_one_place(site, monkeypatch, bulk_rows, steps, batch_events):
    """The outcome depends on the rows alone: not on batches, ways, restarts or copies."""
    monkeypatch.setattr(chunking, "CHUNK_VALUES", 6)  # two rows
    monkeypatch.setitem(Applier.__init__.__kwdefaults__, "bulk_rows", bulk_rows)
    site.file().unlink(missing_ok=True)
    site.sqlite(CREATE)
    site.postgres("DROP SCHEMA IF EXISTS cdc CASCADE; DROP TABLE IF EXISTS t, r CASCADE")
    with site.target() as target:
        replica = Replica(site, target, batch_events)
        try:
            for step in steps:
                if step == "replicate":
                    replica.step()
                elif step == "restart":
                    replica.close()
                elif step == "copy again":
                    replica.copy_again()
                else:
                    site.sqlite(step[0], step[1:])
            while replica.step():
                pass
            replica.check()
        finally:
            replica.close()
