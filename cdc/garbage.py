"""Python's search for reference cycles, made rare: this program's own objects hardly form any."""

import gc
from typing import Final

COLLECT_EVERY: Final = 200_000
"""New containers after which Python looks for garbage cycles. A row is a container, and after
Python's 700 of them each batch would be searched many times, in vain: a fifth of the time. So would
all modules, many times, while they are imported."""


def collect_rarely() -> None:
    """For the whole process, from now on."""
    gc.set_threshold(COLLECT_EVERY)


def keep_all() -> None:
    """Take all that there is by now for something that stays, as all modules do: to look through it
    in vain would stop every thread, for a tenth of a second on a busy machine. Python's own last
    search, at its end, takes it some 40 ms.
    """
    gc.freeze()
