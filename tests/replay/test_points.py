"""Replayed to a committed boundary, a source is what a witness saw there."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cdc.config import Config
from cdc.config.archive import ArchiveConfig
from cdc.errors import StateNotKept, ValueDoesNotFit
from cdc.pipeline import archiving
from cdc.pipeline.archiving import SourceArchive
from cdc.postgres.connection import Target
from cdc.sqlite import pruning
from cdc.stop import Stop
from tests.capture.legacy import SETTLE, Legacy
from tests.capture.workload import generate
from tests.pipeline.test_random_workloads import Witness
from tests.replay.witness import Points, rebuilt

WORKLOADS = 10
SOAK_WORKLOADS = 30
SOAK_PARTS = 20
"""In parts, none of which takes as long as the limit on a single test."""


class ReplayWitness(Witness):
    """Writes down what the file holds while a workload runs; archives and prunes in between."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.points = Points()
        self._folder = self._path.parent
        self._chance = random.Random(self.workload.seed)

    @property
    def config(self) -> Config:
        return self._stepper._config

    def _configure(self) -> Config:
        config = super()._configure()
        return Config(
            path=config.path,
            postgres=config.postgres,
            sources=config.sources,
            replication=config.replication,
            archive=ArchiveConfig(
                segment_events=random.Random(self.workload.seed).choice((3, 20, 1_000)),
                prune_after_seconds=0,
            ),
        )

    def _perform(self, steps: tuple[str, ...] | list[str]) -> bool:
        if self._replicates and not self.points.states:
            self.archive(baselines=True)
        ran_away = False
        for step in steps:
            ran_away = ran_away or super()._perform([step])
            if self._replicates:
                self.points.note(self._path)
        if self._replicates and self._chance.random() < 0.3:
            self.archive(baselines=self._chance.random() < 0.5)
        return ran_away

    @property
    def _replicates(self) -> bool:
        return self._stepper._replication is not None

    def archive(self, *, baselines: bool) -> None:
        """What the archiver does in one pass."""
        super()._perform([SETTLE])  # an open transaction of the application would keep us out
        archive = SourceArchive(self.config, self.source, self._target, Stop())
        archive.work(baselines=baselines, everything=True)

    def judge(self) -> Counter[str]:
        """Replay to every point, and compare."""
        self.archive(baselines=True)
        counts: Counter[str] = Counter()
        for seq, seen in self.points.states.items():
            path = self._folder / f"replayed-{seq}.db"
            found = rebuilt(self.config, self.source, seq, path)
            if isinstance(found, StateNotKept):
                counts["not kept"] += 1
                assert "baseline" in str(found) or "may have missed" in str(found), found
                continue
            assert found in seen, f"event {seq}\n{self.workload.script()}"
            counts["equal"] += 1
        return counts


@pytest.fixture
def legacy() -> Iterator[Legacy]:
    made = Legacy()
    yield made
    made.end()


@pytest.fixture(autouse=True)
def prunes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few events there are to prune, they go."""
    for module in (pruning, archiving):
        monkeypatch.setattr(module, "FEWEST", 1)


def _judge(seeds: range, legacy: Legacy, dsn: str, folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with Target(dsn) as target:
        for seed in seeds:
            place = folder / str(seed)
            place.mkdir()
            legacy.open(place / "legacy.db")
            witness = ReplayWitness(legacy, target, place, generate(seed))
            try:
                if witness.run() == "judged":
                    witness.close()
                    counts += witness.judge()
            except ValueDoesNotFit as error:
                # A key may be NULL in SQLite; such a row is refused, and loudly.
                if "NULL" not in str(error):
                    raise
            finally:
                witness.close()
                legacy.close(place / "legacy.db")
                shutil.rmtree(place)
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(f"DROP SCHEMA IF EXISTS w{seed} CASCADE".encode())
                admin.execute("DELETE FROM cdc.captured_table WHERE source = %s", (f"w{seed}",))
    return counts


def test_random_points_of_random_workloads(legacy: Legacy, dsn: str, tmp_path: Path) -> None:
    """Whatever SQL, and wherever segments and baselines fall: what the witness saw, bit by bit."""
    counts = _judge(range(WORKLOADS), legacy, dsn, tmp_path)
    assert counts["equal"] > 60, counts
    assert counts["equal"] > 4 * counts["not kept"], counts


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SOAK_PARTS))
def test_many_random_points(legacy: Legacy, dsn: str, tmp_path: Path, part: int) -> None:
    """The same for many workloads; CDC_SOAK_SEED moves on to others."""
    first = int(os.environ.get("CDC_SOAK_SEED", "2000000")) + part * SOAK_WORKLOADS
    counts = _judge(range(first, first + SOAK_WORKLOADS), legacy, dsn, tmp_path)
    assert counts["equal"] > 5 * SOAK_WORKLOADS, counts
