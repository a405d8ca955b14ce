"""The way of a replay: from what is kept of a source to its destination, piece by piece."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from cdc.ahead import Ahead, take_turns
from cdc.errors import ReplayStopped
from cdc.replay.destination import Destination
from cdc.replay.pieces import Piece, pieces
from cdc.replay.plan import Plan
from cdc.replay.store import Store
from cdc.stop import Stop

PIECES_AHEAD: Final = 2
"""Pieces that are read, or being read, while one is written."""


@dataclass(slots=True)
class ReplayProgress:
    """How far the replay of one source is; one thread writes and others only look.

    `begun_with` are the events and rows that were there already when this process began.
    """

    name: str
    events: int = 0
    events_expected: int = 0
    rows: int = 0
    rows_expected: int = 0
    begun_with: int = 0

    @property
    def done(self) -> int:
        return self.events + self.rows

    @property
    def expected(self) -> int:
        return self.events_expected + self.rows_expected


def replay(
    store: Store,
    plan: Plan,
    destination: Destination,
    progress: ReplayProgress,
    *,
    stop: Stop,
    keep: Callable[[], None] = lambda: None,
) -> Plan:
    """Replay a plan into its destination, from where that stands; the plan that was carried out.

    `keep` is called after each piece, to hold on to what is still to be read. Raises ReplayStopped
    where it was asked to stop; what is written until then stays.
    """
    take_turns()
    plan = destination.begin(plan)
    progress.events_expected, progress.rows_expected = plan.events, plan.rows
    progress.events = progress.begun_with = max(0, destination.standing.seq - plan.start)

    def look() -> None:
        keep()
        if stop.asked:
            raise ReplayStopped(
                f"{store.source.name}: stopped at event {destination.standing.seq:,} of"
                f" {plan.goal.seq:,}.",
                hint="The same command goes on from there.",
            )

    while (hard := _go_on(store, plan, destination, progress, look)) is not None:
        # What was prepared ahead did not know what becomes of these rows.
        destination.write_carefully(hard)
        _count(progress, hard)
    progress.rows = progress.rows_expected
    return plan


def _go_on(
    store: Store,
    plan: Plan,
    destination: Destination,
    progress: ReplayProgress,
    look: Callable[[], None],
) -> Piece | None:
    """Write piece after piece; returns one that needs care, None when all are written."""
    found = pieces(store, plan, destination.standing)
    ready = Ahead(((piece, destination.prepare(piece)) for piece in found), PIECES_AHEAD)
    with closing(ready):
        while (item := ready.take()) is not None:
            piece, prepared = item
            if not destination.write(prepared):
                return piece
            _count(progress, piece)
            look()
    return None


def _count(progress: ReplayProgress, piece: Piece) -> None:
    progress.events += piece.count
    if piece.base is not None:
        progress.rows += len(piece.base.chunk.rows)
