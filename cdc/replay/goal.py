"""At which event a replay ends: the newest, one by its number, or by a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cdc.errors import ConfigError, StateNotKept
from cdc.replay.instants import instant_of
from cdc.replay.store import Store


@dataclass(frozen=True, slots=True)
class Until:
    """What is asked for: up to and with an event, up to a time, or, with neither, all there is."""

    seq: int | None = None
    time: datetime | None = None

    @property
    def is_end(self) -> bool:
        return self.seq is None and self.time is None


@dataclass(frozen=True, slots=True)
class Goal:
    """The state behind event `seq`, which was made at `at`.

    `whole` says that no transaction of the application is cut in two there; False, that nobody
    knows. `is_end`: it is the newest that the source has. `by_time`: it stands for a time, which
    may be before anything else that came with that event.
    """

    seq: int
    at: datetime | None
    whole: bool
    is_end: bool
    by_time: bool = False


BoundaryBefore = Callable[[int], int | None]
"""The last known committed boundary at or before an event."""


def find_goal(store: Store, until: Until, boundary_before: BoundaryBefore) -> Goal:
    """The goal that is asked for; for a time, the committed boundary at or before it.

    Raises ConfigError for an event that is yet to come, StateNotKept where no boundary is known.
    """
    if until.seq is not None:
        if until.seq > store.newest:
            raise ConfigError(
                f"{store.source.name} has no event {until.seq}: its newest is {store.newest}."
            )
        return _goal(store, until.seq, _boundary(store, until.seq, boundary_before))
    if until.time is None:
        return _goal(store, store.newest, _boundary(store, store.newest, boundary_before))
    last = store.last_until(until.time)
    boundary = _boundary(store, last, boundary_before)
    if boundary is None:
        raise StateNotKept(
            f"{store.source.name}: no moment between two transactions is known at or before event"
            f" {last}.",
            hint=f"--until-seq {last} replays to that event, even if it should lie within a"
            " transaction.",
        )
    return replace(_goal(store, boundary, boundary), by_time=True)


def _boundary(store: Store, seq: int, boundary_before: BoundaryBefore) -> int | None:
    # A baseline is read in transactions of its own, each at the end of some commit.
    known = [boundary_before(seq)]
    for life in store.lives:
        for base in life.baselines:
            known += [base.first_as_of, base.last_as_of]
    if store.reader is not None:
        known.append(store.newest)
    return max((each for each in known if each is not None and each <= seq), default=None)


def _goal(store: Store, seq: int, boundary: int | None) -> Goal:
    event = store.event(seq) if seq else None
    at = None if event is None else instant_of(event[1])
    is_end = seq == store.newest and store.reader is not None
    return Goal(seq, at, whole=boundary == seq, is_end=is_end)
