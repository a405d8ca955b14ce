"""The daemon, which turns by itself when the files say so, and takes a moment for it."""

import time
from typing import Final

from cdc.config import Config
from cdc.pipeline.lag import SourceLag, measure
from cdc.pipeline.progress import SourceState
from cdc.postgres.connection import Target

TURN_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.05

_TURNING: Final = (SourceState.TAILING, SourceState.RETURNING, SourceState.WAITING)
"""What a daemon may be seen to do that has yet to notice the switch, or that one was undone."""


def turned(config: Config, target: Target, wanted: SourceState) -> list[SourceLag]:
    """How the sources stand once the daemon is in the state `wanted` with all of them, or it is
    plain that it will not come to that in a moment.
    """
    end = time.monotonic() + TURN_SECONDS
    while True:
        lags = measure(config, target)
        others = [each for each in lags if each.state != wanted]
        turning = all(each.holder is not None and each.state in _TURNING for each in others)
        if not others or not turning or time.monotonic() > end:
            return lags
        time.sleep(POLL_SECONDS)
