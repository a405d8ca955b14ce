"""What the gates of a cutover look at, and what a look may find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cdc.config import Config
from cdc.pipeline.lag import SourceLag
from cdc.postgres.connection import Target

Found = Iterator[tuple[bool, str]]
"""For each finding whether it is good, and what it is."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the gates look at."""

    config: Config
    target: Target
    lags: list[SourceLag]


Look = Callable[[Sight], Found]
