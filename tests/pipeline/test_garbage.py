"""Tailing leaves Python's collector nothing to look for: it would stop every thread meanwhile."""

import gc
from types import SimpleNamespace

from cdc.pipeline.worker import SourceWorker
from cdc.stop import Alarm, Stop

STEPS = 200


def test_steps_leave_no_cycles_behind(monkeypatch):
    """A daemon makes thousands of them a second at most, and each must go by itself."""
    worker = SourceWorker(None, SimpleNamespace(name="shop"), None, Stop(), Alarm(), lock=None)
    monkeypatch.setattr(worker, "_step", lambda: True)
    worker._step_with_retry()
    gc.collect()
    gc.disable()
    try:
        for _ in range(STEPS):
            assert worker._step_with_retry()
        assert gc.collect() < STEPS
    finally:
        gc.enable()
