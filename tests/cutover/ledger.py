"""Writes that were acknowledged, each with its side and its time, and who was master when."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Write:
    """One acknowledged write: it was committed at some moment from `began` to `ended`, by the clock
    of the machine.
    """

    kind: str
    number: int
    side: str
    began: float
    ended: float


def read(path: Path) -> list[Write]:
    """The whole lines of a ledger; a writer may be about to add another one."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [Write(*json.loads(line)) for line in lines]


def reigns(site) -> list[tuple[float, float]]:
    """From when to when PostgreSQL was master, as its journal says, which has the same clock."""
    turns = site.postgres(
        "SELECT direction, extract(epoch FROM switched_at)::float8 FROM cdc.switch"
        " WHERE switched_at IS NOT NULL ORDER BY id"
    )
    assert [direction for direction, _ in turns] == ["forward", "back"] * (len(turns) // 2) + [
        "forward"
    ] * (len(turns) % 2)
    ends = [at for _, at in turns] + [float("inf")]
    return [(ends[i], ends[i + 1]) for i in range(0, len(turns), 2)]


def usurpers(writes: Iterable[Write], reigns: list[tuple[float, float]]) -> list[Write]:
    """Writes that a side has taken while the other one was master."""
    edges = [-float("inf"), *(at for reign in reigns for at in reign), float("inf")]
    others = list(zip(edges[::2], edges[1::2], strict=True))
    terms = {"postgres": reigns, "sqlite": others}
    return [
        write
        for write in writes
        if not any(write.began < end and start < write.ended for start, end in terms[write.side])
    ]
