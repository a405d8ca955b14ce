"""Many small write transactions in a row, with room for the legacy system between them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cdc.sqlite.connection import Wait

STEP_SECONDS: Final = 0.02
"""How long one of them may take."""

STEP_ROWS: Final = 200
"""How many rows the first one takes, and every one at least."""

LONGEST_REST_SECONDS: Final = 0.25


class Pace:
    """How large the next of many small write transactions may be, and the pause behind each."""

    def __init__(self) -> None:
        self.rows = STEP_ROWS

    @contextmanager
    def step(self, wait: Wait) -> Iterator[None]:
        """Time one step of `rows` rows, then leave the legacy system up to three times as long."""
        started = time.monotonic()
        yield
        spent = time.monotonic() - started
        self.rows = max(STEP_ROWS, int(self.rows * min(2.0, STEP_SECONDS / max(spent, 1e-4))))
        wait(min(3 * spent, LONGEST_REST_SECONDS))
