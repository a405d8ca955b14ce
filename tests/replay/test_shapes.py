"""Replays across changes of the schema, gaps of the capture, resyncs and repairs."""

import os
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import apsw
import psycopg
import pytest

from cdc.crossing.names import TargetNames, naming_of
from cdc.errors import StateNotKept
from cdc.pipeline import archiving
from cdc.pipeline.archiving import SourceArchive
from cdc.pipeline.repairing import prove_and_repair
from cdc.postgres import state
from cdc.proof.canonical import ColumnForms
from cdc.proof.request import Request
from cdc.rebuild.into_schema import SchemaDestination
from cdc.rebuild.replay_mapping import ReplayMapper
from cdc.rebuild.replaying import ReplayProgress, replay
from cdc.replay.goal import Until, find_goal
from cdc.replay.plan import make_plan
from cdc.replay.store import open_store
from cdc.sqlite import introspect, pruning
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.walk import TableWalk
from cdc.stop import Stop
from tests.replay.witness import ALL, Points, rebuilt
from tests.support.comparison import _target_rows
from tests.support.stepping import Stepper

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL);
CREATE TABLE visits (page TEXT, at REAL);
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE leavers (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE words (word TEXT PRIMARY KEY COLLATE NOCASE, n NUMERIC) WITHOUT ROWID;
"""

DDL = (
    """CREATE TABLE IF NOT EXISTS tags (tag TEXT PRIMARY KEY, weight);
    INSERT OR IGNORE INTO tags VALUES ('a', 1), ('b', x'00')""",
    "DROP TABLE IF EXISTS tags",
    "ALTER TABLE orders ADD COLUMN note{n} TEXT DEFAULT 'none'",
    "ALTER TABLE staff RENAME TO people{n}; ALTER TABLE people{n} RENAME TO staff",
    """ALTER TABLE staff RENAME TO aside; ALTER TABLE leavers RENAME TO staff;
    ALTER TABLE aside RENAME TO leavers""",
    "ALTER TABLE words RENAME COLUMN n TO m; ALTER TABLE words RENAME COLUMN m TO n",
    """CREATE TABLE new (id INTEGER PRIMARY KEY, price REAL, item TEXT, sold INTEGER DEFAULT 0);
    INSERT INTO new (id, item, price) SELECT id, item, price FROM orders;
    DROP TABLE orders; ALTER TABLE new RENAME TO orders""",
    "CREATE TABLE newer (id INTEGER PRIMARY KEY, item TEXT, price REAL)",
    "INSERT OR IGNORE INTO newer SELECT id, item, price FROM orders; DROP TABLE orders",
    "ALTER TABLE newer RENAME TO orders",
    "CREATE UNIQUE INDEX IF NOT EXISTS by_at ON visits (at)",
    "DROP INDEX IF EXISTS by_at",
    "VACUUM",
)

DML = (
    "INSERT OR REPLACE INTO orders (id, item, price) VALUES ({n} % 50, 'item {n}', {n} / 8.0)",
    "UPDATE orders SET price = -price WHERE id % 7 = {n} % 7",
    "DELETE FROM orders WHERE id % 11 = {n} % 11",
    "INSERT OR REPLACE INTO visits VALUES ('page {n}', {n} % 40)",
    "DELETE FROM visits WHERE rowid % 5 = {n} % 5",
    "REPLACE INTO staff VALUES ({n} % 20, 'name ' || ({n} % 15))",
    "UPDATE OR REPLACE staff SET name = 'name ' || ({n} % 9) WHERE id % 6 = 2",
    "REPLACE INTO leavers VALUES ({n} % 20, 'name ' || ({n} % 15))",
    "INSERT OR REPLACE INTO words VALUES (char(97 + {n} % 9), {n} / 3.0)",
    "INSERT OR REPLACE INTO words VALUES (char(65 + {n} % 9), {n} - 0.5)",
)

SEEDS = 2
SOAK_SEEDS = 60
STEPS = 40


@pytest.fixture(autouse=True)
def prunes_all(monkeypatch):
    """However few events there are to prune, they go."""
    for module in (pruning, archiving):
        monkeypatch.setattr(module, "FEWEST", 1)


class Evolution:
    """An application that changes its rows and its schema, a daemon that comes and goes, and a
    witness."""

    def __init__(self, site, target, seed):
        self.site = site
        self.target = target
        self.chance = random.Random(seed)
        self.points = Points()
        self.path = site.file()
        [self.source] = site.config.sources
        self.stepper = Stepper(site.config, self.source, target)
        self.pending = False
        self.count = 0

    def run(self):
        self.stepper.run()
        for _ in range(STEPS):
            self.step()
        self.catch_up()
        self.archive(baselines=True)
        self.note()
        self.stepper.close()

    def step(self):
        if self.chance.random() < 0.15:
            self.perform(DDL)
            self.pending = True
        for _ in range(self.chance.randint(1, 4)):
            self.perform(DML)
            self.note()
        if self.chance.random() < 0.7:
            self.catch_up()
        if self.chance.random() < 0.4:
            self.archive(baselines=self.chance.random() < 0.6)
        if self.chance.random() < 0.05:
            self.repair()

    def perform(self, statements):
        self.count += self.chance.randint(1, 9)
        statement = self.chance.choice(statements).format(n=self.count)
        # A column may be there already, and rows that a unique index would keep apart.
        with self.site.connection() as db, suppress(apsw.SQLError, apsw.ConstraintError):
            db.execute(statement)

    def note(self):
        if not self.pending:  # what is not captured yet is nobody's to tell
            self.points.note(self.path)

    def catch_up(self):
        self.stepper.run()
        self.pending = False
        self.note()

    def archive(self, *, baselines):
        archive = SourceArchive(self.site.config, self.source, self.target, Stop())
        archive.work(baselines=baselines, everything=True)

    def repair(self):
        """Rows are lost in PostgreSQL, and written again without an event."""
        self.catch_up()
        self.stepper.close()
        with psycopg.connect(self.site.dsn, autocommit=True) as conn:
            conn.execute("SET cdc.session = 'on'")
            conn.execute("DELETE FROM staff WHERE id % 2 = 0")
        prove_and_repair(self.site.config, self.target, Request(full=True, table="staff"))


@pytest.fixture
def evolve(site):
    """`evolve(seed)`: an evolution that has come to its end."""

    def run(seed):
        segment = random.Random(seed).choice((5, 40, 1_000))
        site.sqlite(SHOP)
        site.configure(
            more=f"[archive]\nprune_after_seconds = 0\nsegment_events = {segment}\n",
            on_error="quarantine",
        )
        with site.target() as target:
            evolution = Evolution(site, target, seed)
            evolution.run()
        return evolution

    return run


def judge(evolution, folder, *, every):
    """Replay to every point; to some of them into PostgreSQL, too."""
    counts = Counter()
    for number, (seq, seen) in enumerate(sorted(evolution.points.states.items())):
        path = folder / f"replayed-{seq}.db"
        found = rebuilt(evolution.site.config, evolution.source, seq, path)
        if isinstance(found, StateNotKept):
            assert "baseline" in str(found) or "may have missed" in str(found), found
            counts["not kept"] += 1
            continue
        assert found in seen, f"event {seq}"
        counts["equal"] += 1
        if number % every == 0:
            judge_schema(evolution, seq, path)
            counts["in PostgreSQL"] += 1
    return counts


def judge_schema(evolution, seq, path: Path):
    """Replayed into a schema, the tables hold what they do in a file, as it is mapped."""
    config, source = evolution.site.config, evolution.source
    schema = f"at_{seq}"
    with (
        open_store(config, source) as store,
        evolution.site.target() as target,
        target.lease() as conn,
    ):
        naming = naming_of(config, source)
        naming = type(naming)(schema, naming.fold, naming.chosen)
        known = state.captured_tables(conn, source.name)
        destination = SchemaDestination(
            conn, schema, store, ReplayMapper(source, naming, TargetNames(), known)
        )
        plan = make_plan(store, find_goal(store, Until(seq=seq), lambda _: None))
        replay(store, plan, destination, ReplayProgress(source.name), stop=Stop())
        assert destination.set_aside == {}
        for mapped in destination.tables.values():
            forms = [ColumnForms(column) for column in mapped.columns]
            with SourceFile(path, only_look=True) as file, file.reading():
                made = introspect.source_table(file, mapped.source.name)
                rows = TableWalk(file, made).read(None, ALL).rows
            ours = Counter(
                tuple(f.of_source(row[i]) for i, f in zip(mapped.positions, forms, strict=True))
                for row in rows
            )
            assert Counter(_target_rows(conn, mapped, forms)) == ours, (seq, mapped.name)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_moment_of_a_life_with_changes(evolve, tmp_path, seed):
    """What a replay makes is what the file held, or it says what it cannot tell."""
    counts = judge(evolve(seed), tmp_path, every=5)
    assert counts["equal"] > counts["not kept"], counts
    assert counts["in PostgreSQL"] > 3, counts


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SOAK_SEEDS))
def test_every_moment_of_many_lives(evolve, tmp_path, number):
    """The same many times over; CDC_SOAK_SEED moves on to others."""
    seed = int(os.environ.get("CDC_SOAK_SEED", "3000000")) + number
    judge(evolve(seed), tmp_path, every=3)
