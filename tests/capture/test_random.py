"""Random SQL against the capture: the log leads to the tables, the application notices nothing."""

import os
import random
import time

import pytest

from cdc.event import Op

from .oracle import Stage
from .shapes import SHAPES, Shape, composed
from .shrink import shrink
from .workload import Workload, generate

EACH = 7
"""Workloads per shape in the short run."""


def check(stage: Stage, workload: Workload) -> None:
    if stage.divergence(workload) is None:
        return
    smallest = shrink(stage, workload)
    found = stage.divergence(smallest)
    assert found
    pytest.fail(
        f"seed {workload.seed}, {workload.shape.name}: {found.what}\n{found.details}\n"
        f"{smallest.script()}\n({smallest.gaps} of the steps during the installation)",
        pytrace=False,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_shape_is_captured_whole(stage: Stage, shape: Shape) -> None:
    """Replayed in order over the rows at installation, the log gives the table at every commit,
    down to the storage classes; and a file without capture answers every statement alike.
    """
    for seed in range(EACH):
        check(stage, generate(seed, shape))


@pytest.mark.parametrize("part", range(4))
def test_shapes_put_together_at_random_are_captured_whole(stage: Stage, part: int) -> None:
    """The same holds of tables that nobody thought of."""
    for seed in range(part * 20, part * 20 + 20):
        check(stage, generate(seed, composed(random.Random(seed))))


def test_the_workloads_do_what_they_are_for(stage: Stage) -> None:
    """Every kind of event comes up often, and SQLite's own quirks stay the exception."""
    for seed in range(100):
        check(stage, generate(seed))
    for op in (Op.INSERT, Op.UPDATE, Op.DELETE, Op.REKEY, Op.EVICT):
        assert stage.counts[op] >= 30, op
    assert stage.counts["differs with any trigger"] <= 15
    assert stage.counts["ran away"] + stage.counts["damaged without capture"] <= 5


@pytest.mark.soak
def test_nothing_diverges_for_as_long_as_one_cares_to_look(stage: Stage) -> None:
    """CDC_SOAK_SECONDS of new workloads, from CDC_SOAK_SEED on or from the time of day."""
    seconds = float(os.environ.get("CDC_SOAK_SECONDS", "600"))
    seed = int(os.environ.get("CDC_SOAK_SEED", time.time_ns()))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(stage, generate(seed))
        seed += 1
    print(f"up to seed {seed}: {dict(stage.counts)}")  # noqa: T201
