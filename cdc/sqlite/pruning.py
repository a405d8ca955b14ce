"""Taking events that nobody needs any more out of a live file's changelog."""

import time
from collections.abc import Callable
from typing import Final

from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.names import CHANGELOG
from cdc.sqlite.pace import Pace

FEWEST: Final = 1_000
"""Events; fewer are not worth a write transaction of ours in the application's file."""


def prune(
    file: SourceFile,
    up_to: int,
    *,
    wait: Wait = time.sleep,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Delete the events up to and with `up_to`, oldest first; how many.

    In small transactions that give way; each leaves a log that only begins later. The newest event
    stays, since the next one takes the seq behind it. The file does not become smaller, but what is
    free in it is used again. Raises SourceBusy where the application leaves no gap.
    """
    with file.reading():
        changelog = Changelog(file)
        first, newest = changelog.first(), changelog.newest()
    end = min(up_to, newest - 1) + 1
    if end - first < FEWEST or first == 0:
        return 0
    begin, pace = first, Pace()
    while begin < end and not stopped():
        with pace.step(wait):
            upper = min(begin + pace.rows, end)
            file.write(lambda upper=upper: _delete(file, upper), wait=wait)  # type: ignore[misc]
        begin = upper
    return begin - first


def _delete(file: SourceFile, before: int) -> None:
    file.query(f"DELETE FROM {CHANGELOG} WHERE seq < ?", (before,)).fetchall()
