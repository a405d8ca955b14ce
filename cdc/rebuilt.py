"""How far a replay is, in the words of every destination: it is kept there, beside the rows."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """The destination holds what the log `log_id` said up to event `seq`, as far as its tables are
    loaded: `chunks` of the chunks of their baselines are, in the replay's order.

    `baselines` are the numbers of these baselines by layout, 0 for a table that began empty.
    `digest` and `at` are those of the event at `seq`, None where it is not kept any more.
    """

    log_id: str
    seq: int
    digest: bytes | None
    at: float | None
    chunks: int
    baselines: Mapping[int, int]
