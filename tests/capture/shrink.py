"""Making a workload that diverges as short as it can be."""

from dataclasses import replace

from .legacy import CHECK, SETTLE
from .oracle import Divergence, Stage
from .workload import INSTALL, Workload


def shrink(stage: Stage, workload: Workload) -> Workload:
    """The same workload without every step that its divergence does not need."""
    found = stage.divergence(workload)
    if found is None:
        return workload
    for smaller in _simpler(workload):
        if _same(stage, smaller, found):
            workload = smaller
    size = len(workload.steps) // 2
    while size:
        at = 0
        while at < len(workload.steps):
            steps = workload.steps[:at] + workload.steps[at + size :]
            kept = [step for step in (INSTALL,) if step not in steps]
            candidate = replace(workload, steps=steps)
            if not kept and _same(stage, candidate, found):
                workload = candidate
            else:
                at += size
        size //= 2
    return workload


def _simpler(workload: Workload) -> list[Workload]:
    """Without the gaps, with a look after each step."""
    looked = [(step, SETTLE, CHECK) for step in workload.steps]
    return [
        replace(workload, gaps=0),
        replace(workload, gaps=0, steps=tuple(step for steps in looked for step in steps)),
    ]


def _same(stage: Stage, candidate: Workload, found: Divergence) -> bool:
    again = stage.divergence(candidate)
    return again is not None and again.what == found.what
