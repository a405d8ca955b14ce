"""Random SQL over every table shape, through the real triggers and the real applier."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cdc.config import Config, PostgresConfig, ReplicationConfig, SourceConfig
from cdc.config.columns import ColumnConfig
from cdc.config.settings import TableConfig
from cdc.errors import ValueDoesNotFit
from cdc.pipeline import backlog
from cdc.postgres.connection import Target
from cdc.sqlite import changelog
from tests.capture.legacy import RAN_AWAY, SETTLE, Legacy
from tests.capture.workload import INSTALL, RENEW, Workload, generate
from tests.support.comparison import compare_source
from tests.support.stepping import Stepper

WORKLOADS = 40
SOAK_WORKLOADS = 500
SOAK_PARTS = 10
"""In parts, none of which takes as long as the limit on a single test."""


class Witness:
    """Replicates one workload, with batches and restarts that fall anywhere, and compares."""

    def __init__(self, legacy: Legacy, target: Target, folder: Path, workload: Workload) -> None:
        self.workload = workload
        self._legacy = legacy
        self._target = target
        self._path = folder / "legacy.db"
        self._rng = random.Random(workload.seed)
        config = self._configure()
        self.source = config.sources[0]
        # An open transaction of the application would keep us out until it ends.
        self._stepper = Stepper(
            config, self.source, target, before_opening=lambda: self._perform([SETTLE])
        )

    def run(self) -> str:
        """What became of the workload; fails the test where the sides differ."""
        steps = list(self.workload.steps)
        start = steps.index(INSTALL)
        self._perform(self.workload.settings)
        if self._perform(steps[:start]):
            return "ran away"
        rest = steps[start + 1 :]
        self._stepper.run(self._rng.choice((1, 3)))
        while rest:
            renewal = rest.index(RENEW) if RENEW in rest else len(rest)
            count = min(self._rng.randint(1, 12), renewal)
            if self._perform(rest[:count]):
                return "ran away"
            rest = rest[count:]
            if renewal == count and rest:
                # Until the daemon has seen them, newer triggers can keep changes from ours.
                rest = rest[1:]
                self.close()
                self._stepper.run(1)
            self._stepper.run(self._rng.choice((0, 1, 3)))
            if self._rng.random() < 0.1:
                self.close()
        self._stepper.run()
        if self._legacy.run(self._path, ["PRAGMA integrity_check"])[0].rows != [("ok",)]:
            return "damaged"  # by SQLite 3.40 itself, in upserts with several targets
        for comparison in compare_source(self.source, self._target):
            assert comparison.equal, f"{comparison}\n{self.workload.script()}"
        return "judged"

    def close(self) -> None:
        """End the session, as a stop of the daemon does."""
        self._stepper.close()

    def _configure(self) -> Config:
        # Values that the first rows did not announce would be refused; that is tested elsewhere.
        tables = {
            self.workload.names[table.label]: TableConfig(
                columns={
                    self.workload.names[column.label]: ColumnConfig(type="literal")
                    for column in table.columns
                }
            )
            for table in self.workload.shape.tables
        }
        name = f"w{self.workload.seed}"
        return Config(
            path=self._path.with_name("config.toml"),
            postgres=PostgresConfig(),
            sources=(SourceConfig(name=name, path=self._path, schema=name, tables=tables),),
            replication=ReplicationConfig(batch_events=self._rng.choice((1, 2, 7, 50_000))),
        )

    def _perform(self, steps: tuple[str, ...] | list[str]) -> bool:
        """Run statements as the application does; whether one of them never ended."""
        outcomes = self._legacy.run(self._path, list(steps))
        return any(outcome.error == RAN_AWAY for outcome in outcomes)


@pytest.fixture
def legacy() -> Iterator[Legacy]:
    made = Legacy()
    yield made
    made.end()


def _judge(seeds: range, legacy: Legacy, dsn: str, folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with Target(dsn) as target:
        for seed in seeds:
            place = folder / str(seed)
            place.mkdir()
            workload = generate(seed)
            legacy.open(place / "legacy.db")
            witness = Witness(legacy, target, place, workload)
            try:
                counts[witness.run()] += 1
            except ValueDoesNotFit as error:
                # A key may be NULL in SQLite; such a row is refused, and loudly.
                if "NULL" not in str(error):
                    raise
                counts["refused"] += 1
            finally:
                witness.close()
                legacy.close(place / "legacy.db")
                shutil.rmtree(place)
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(f"DROP SCHEMA IF EXISTS w{seed} CASCADE".encode())
                admin.execute("DELETE FROM cdc.captured_table WHERE source = %s", (f"w{seed}",))
    return counts


@pytest.fixture
def backlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the events are, only the last of each key is read, as of a long backlog."""
    for module in (changelog, backlog):
        monkeypatch.setattr(module, "SHORTEST_STRETCH", 1)


def test_random_workloads_arrive_whatever_the_batches(
    legacy: Legacy, dsn: str, tmp_path: Path
) -> None:
    """Both sides are equal after any SQL over any shape, wherever batches and restarts fall."""
    counts = _judge(range(WORKLOADS), legacy, dsn, tmp_path)
    assert counts["judged"] > WORKLOADS * 0.6, counts


@pytest.mark.usefixtures("backlogged")
def test_random_workloads_arrive_as_a_backlog(legacy: Legacy, dsn: str, tmp_path: Path) -> None:
    """The same where events are passed over that a later one has made of no account."""
    counts = _judge(range(WORKLOADS, 2 * WORKLOADS), legacy, dsn, tmp_path)
    assert counts["judged"] > WORKLOADS * 0.6, counts


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SOAK_PARTS))
def test_many_random_workloads_arrive(legacy: Legacy, dsn: str, tmp_path: Path, part: int) -> None:
    """The same for many thousands of workloads; CDC_SOAK_SEED moves on to others."""
    _soak(part, legacy, dsn, tmp_path)


@pytest.mark.soak
@pytest.mark.usefixtures("backlogged")
@pytest.mark.parametrize("part", range(SOAK_PARTS, 2 * SOAK_PARTS))
def test_many_random_workloads_arrive_as_a_backlog(
    legacy: Legacy, dsn: str, tmp_path: Path, part: int
) -> None:
    """The same as a backlog."""
    _soak(part, legacy, dsn, tmp_path)


def _soak(part: int, legacy: Legacy, dsn: str, folder: Path) -> None:
    first = int(os.environ.get("CDC_SOAK_SEED", "1000000")) + part * SOAK_WORKLOADS
    counts = _judge(range(first, first + SOAK_WORKLOADS), legacy, dsn, folder)
    assert counts["judged"] > SOAK_WORKLOADS * 0.6, counts
