"""No false alarm: verified without a pause, beside everything that goes on."""

import random
import shutil
import time
from pathlib import Path

import pytest

from cdc.demo.fleet import Fleet, make_history
from cdc.errors import ValueDoesNotFit
from cdc.postgres.connection import Target
from cdc.proof import debts
from cdc.proof.request import Request
from cdc.proof.sources import prove
from tests.capture.legacy import Legacy
from tests.capture.workload import generate
from tests.pipeline.test_random_workloads import Witness
from tests.support.waiting import wait_until

PRUNING = "[archive]\nprune_after_seconds = 0\nsegment_seconds = 0.2\nsegment_events = 1000\n"

VERDICTS = 6
WORKLOADS = 15
SOAK_SECONDS = 180.0
SOAK_PARTS = 20
"""An hour, in parts, none of which takes as long as the limit on a single test."""


def differences(verdict):
    return [table for source in verdict.sources for table in source.tables if table.differences]


def alarms(verdict):
    """What differs or is unsound. A file that others lock for too long is none: nobody can tell."""
    tables = [table for source in verdict.sources for table in source.tables]
    return [each for each in tables if each.differences or each.stale or not each.sound]


def test_no_false_alarm_while_the_changelog_is_pruned(site):
    """Events are archived and taken out of the log while proofs rest on it; each one converges."""
    storm = site.storm("--journal", "WAL", "--pause", 0.002)
    site.configure(more=PRUNING)
    site.daemon()

    def first():
        return site.sqlite("SELECT coalesce(min(seq), 0) FROM _cdc_changelog")[0][0]

    begins = set()
    for turn in range(VERDICTS):
        verdict = site.prove(full=turn % 2 == 0)
        assert verdict.converged, verdict
        begins.add(first())
    wait_until(lambda: first() > max(begins))
    assert site.prove().converged
    report = storm.stop()
    assert report.errors == []


class Prover(Witness):
    """Proves after each stretch of a workload, whatever was applied of it by then."""

    def __init__(self, legacy, target, folder, workload):
        super().__init__(legacy, target, folder, workload)
        self.proven = 0
        self._run_steps = self._stepper.run
        self._stepper.run = self._step_and_prove

    def _step_and_prove(self, *steps):
        self._run_steps(*steps)
        request = Request(full=self._rng.random() < 0.5)
        verdict = prove(self._stepper._config, self._target, request)
        assert not differences(verdict), f"{verdict}\n{self.workload.script()}"
        self.proven += sum(t.equal for source in verdict.sources for t in source.tables)


def test_no_false_alarm_in_random_workloads(dsn, tmp_path, monkeypatch):
    """Any SQL over any shape, at any moment: what was not applied is owed, no difference."""
    monkeypatch.setattr(debts, "PATIENCE_SECONDS", 0.0)
    legacy, proven = Legacy(), 0
    try:
        with Target(dsn) as target:
            for seed in range(WORKLOADS):
                place = tmp_path / str(seed)
                place.mkdir()
                legacy.open(place / "legacy.db")
                prover = Prover(legacy, target, place, generate(seed))
                try:
                    prover.run()
                except ValueDoesNotFit as error:
                    # A key may be NULL in SQLite; such a row is refused, and loudly.
                    if "NULL" not in str(error):
                        raise
                finally:
                    prover.close()
                    legacy.close(place / "legacy.db")
                proven += prover.proven
    finally:
        legacy.end()
    assert proven > WORKLOADS


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SOAK_PARTS))
def test_no_false_alarm_beside_the_services_for_an_hour(site, tmp_path, part):
    """The write load of the reference user, with proofs one after another and the log pruned."""
    legacy = tmp_path / "rec_io"
    legacy.mkdir()
    make_history(legacy, seed=part)
    chance = random.Random(part)
    names = sorted(path.name for path in legacy.glob("*.db"))
    for name in names:
        shutil.move(legacy / name, site.file(name))
    site.configure(*names, own_schemas=True, more=PRUNING)
    site.daemon(seconds=SOAK_SECONDS / 2)
    end, verdicts = time.monotonic() + SOAK_SECONDS, 0
    with Fleet.start(Path(site.folder), pace=20) as fleet:
        while time.monotonic() < end:
            verdict = site.prove(full=chance.random() < 0.3)
            assert alarms(verdict) == []
            assert fleet.failed() == []
            verdicts += verdict.converged
    assert verdicts > SOAK_SECONDS / 30
