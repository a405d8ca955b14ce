"""The lock of an open file, which ends with the process that has it."""

import fcntl
import time
from collections.abc import Iterable


def taken(descriptor: int, pauses: Iterable[float]) -> bool:
    """Take the lock for this process alone, tried after each of these pauses, in seconds; whether
    it could be taken.
    """
    return any(_is_free(descriptor, pause) for pause in pauses)


def _is_free(descriptor: int, pause: float) -> bool:
    time.sleep(pause)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
