"""What the gates of a cutover look at, and what a look finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cdc.config import Config
from cdc.pipeline.lag import SourceLag
from cdc.postgres.connection import Target


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: `evidence` says what was found, `remedy` what to do where it does not pass."""

    name: str
    passed: bool
    evidence: tuple[str, ...]
    remedy: str = ""


Found = Iterator[tuple[bool, str]]
"""For each finding whether it is good, and what it is."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the gates look at."""

    config: Config
    target: Target
    lags: list[SourceLag]


Look = Callable[[Sight], Found]
