"""Waiting for a condition, with a deadline: the only kind of waiting there is in these tests."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.02


def wait_until(
    condition: Callable[[], T], seconds: float = 30.0, *, what: Callable[[], object] | str = ""
) -> T:
    """What `condition` returns, once that is true. `what` tells a failure how things stand."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            stands = what() if callable(what) else what
            raise AssertionError(f"it did not come to pass within {seconds:g} s: {stands}")
        time.sleep(LOOK_SECONDS)
    return found
