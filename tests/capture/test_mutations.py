"""Each trick of the capture is needed: without any one of them, random SQL finds a hole."""

import random

import pytest

from .mutations import MUTATIONS, Mutation
from .oracle import Stage
from .shapes import SHAPES
from .workload import generate

BOUND = 1500
"""Workloads within which each must be found."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.trick)
def test_without_the_trick_something_diverges(stage: Stage, mutation: Mutation) -> None:
    """Turning off any one of the tricks is found by the random workloads."""
    shapes = [shape for shape in SHAPES if shape.name in mutation.shapes]
    assert len(shapes) == len(mutation.shapes)
    for seed in range(mutation.start, mutation.start + BOUND):
        shape = random.Random(seed).choice(shapes)
        with mutation.applied():
            if stage.divergence(generate(seed, shape, mutation.triggers)):
                return
    pytest.fail(f"{BOUND} workloads did not miss it")
