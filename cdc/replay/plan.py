"""What a replay takes: of each table one capture, a baseline of it, and the events since."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cdc.archive.reader import Baseline
from cdc.constraints import folded
from cdc.errors import ConfigError, DestinationTaken, StateNotKept
from cdc.rebuilt import Standing
from cdc.replay.goal import Goal
from cdc.replay.lives import Life
from cdc.replay.store import Store

MOST_TRIED: Final = 200
"""Moments that are tried, on either side, where the one asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One table: from a baseline (None: it had no rows when its capture began), and the events
    behind `start`.
    """

    life: Life
    baseline: Baseline | None

    @property
    def name(self) -> str:
        return self.life.name

    @property
    def layout(self) -> int:
        return self.life.layout

    @property
    def start(self) -> int:
        return self.life.begun if self.baseline is None else self.baseline.first_as_of


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay of some tables to a goal; `start` is the place in the log from which events count.

    `unknown` are tables of which nothing is recorded at that moment, but is later.
    """

    goal: Goal
    tables: tuple[TablePlan, ...]
    unknown: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        return min((table.start for table in self.tables), default=self.goal.seq)

    @property
    def events(self) -> int:
        """How many events are read."""
        return max(0, self.goal.seq - self.start)

    @property
    def baselines(self) -> list[Baseline]:
        return [table.baseline for table in self.tables if table.baseline is not None]

    @property
    def rows(self) -> int:
        """How many rows of baselines are read."""
        return sum(baseline.rows for baseline in self.baselines)

    @property
    def numbers(self) -> dict[int, int]:
        """The baselines by layout, as of `cdc.rebuilt.Standing`."""
        return {t.layout: t.baseline.number if t.baseline else 0 for t in self.tables}


def make_plan(store: Store, goal: Goal, names: Sequence[str] = ()) -> Plan:
    """The plan for all tables, or those of these names, then or now.

    Raises ConfigError for a name that no table has, StateNotKept where a state cannot be told.
    """
    chosen, holes = _choose(store, goal, names)
    if holes:
        raise StateNotKept(
            f"{store.source.name}: the state at event {goal.seq:,} cannot be rebuilt:"
            f" {'; '.join(holes)}.",
            hint=_instead(store, goal, names, chosen),
        )
    if not chosen:
        raise StateNotKept(
            f"{store.source.name}: nothing is recorded at event {goal.seq:,}, or before the time"
            " that is asked for.",
            hint=_instead(store, goal, names, chosen),
        )
    there = {folded(table.name) for table in chosen}
    later = {life.name for life in store.lives if life.begun >= goal.seq}
    unknown = sorted(name for name in later if folded(name) not in there and not names)
    return Plan(goal, tuple(chosen), tuple(unknown))


def go_on(store: Store, plan: Plan, standing: Standing) -> Plan:
    """The plan with the baselines that a destination was begun with.

    Raises DestinationTaken where it holds another log, other tables, or a later state.
    """
    numbers = standing.baselines
    if standing.log_id != store.log_id or standing.seq > plan.goal.seq:
        raise DestinationTaken(
            f"The destination was begun with another log of {store.source.name}."
            if standing.log_id != store.log_id
            else f"The destination holds {store.source.name} at event {standing.seq:,} already,"
            f" behind event {plan.goal.seq:,}.",
            hint="Drop what is there, or name another destination.",
        )
    if set(numbers) != set(plan.numbers):
        raise DestinationTaken(
            f"The destination was begun with other tables of {store.source.name}, or with tables of"
            " another shape.",
            hint="Drop what is there, or name another destination.",
        )
    tables = []
    for table in plan.tables:
        number = numbers[table.layout]
        same = (each for each in table.life.baselines if each.number == number)
        baseline = next(same, None)
        if number and (baseline is None or baseline.last_as_of > plan.goal.seq):
            raise DestinationTaken(
                f"The destination was begun with a baseline of {table.name} that is of no use for"
                f" event {plan.goal.seq:,}, or not kept any more.",
                hint="Drop what is there, or name another destination.",
            )
        tables.append(TablePlan(table.life, baseline))
    return Plan(plan.goal, tuple(tables), plan.unknown)


def _choose(store: Store, goal: Goal, names: Sequence[str]) -> tuple[list[TablePlan], list[str]]:
    """The tables as far as they can be rebuilt, and in words which of them cannot, and why."""
    wanted = {folded(name) for name in names}
    chosen: list[TablePlan] = []
    holes: list[str] = []
    met: set[str] = set()
    for captures in _there(store, goal):
        own = {name for life in captures for name in _names(store, life)}
        if wanted and not own & wanted:
            continue
        met |= own & wanted
        # Of several, which met at this event, the table as it is once all that has happened.
        known = [life for life in captures if _hole(store, life, goal.seq) is None]
        life = captures[-1] if goal.is_end or not known else known[-1]
        hole = _hole(store, life, goal.seq)
        if hole is None:
            chosen.append(TablePlan(life, life.base(goal.seq)))
        else:
            holes.append(hole)
    if missing := wanted - met:
        there = sorted({life.name for each in _there(store, goal) for life in each})
        raise ConfigError(
            f"{store.source.name} has no recorded table {min(missing)!r} at event {goal.seq:,}.",
            hint=f"There are: {', '.join(there) or 'none'}.",
        )
    return chosen, holes


def _there(store: Store, goal: Goal) -> list[list[Life]]:
    """The captures in place at an event, those that followed on each other there together.

    One that began with the event may have done so after the time that is asked for.
    """
    seq = goal.seq
    chains: dict[int, list[Life]] = {}
    for life in store.lives:
        if life.is_there(seq) and not (goal.by_time and life.begun == seq):
            chain = chains.pop(life.layout, [])
            chain.append(life)
            chains[life.heir if life.heir and life.ended == seq else -life.layout] = chain
    return [*chains.values()]


def _names(store: Store, life: Life) -> set[str]:
    """The folded names of a table: the one that it had, and those that it got later."""
    by_layout = {each.layout: each for each in store.lives}
    names = set()
    found: Life | None = life
    while found is not None:
        names.add(folded(found.name))
        found = by_layout.get(found.heir or 0)
    return names


def _hole(store: Store, life: Life, seq: int) -> str | None:
    """Why the state of a table at an event cannot be told, None where it can."""
    if not life.is_sure(seq):
        return (
            f"the capture of {life.name} may have missed changes between event {life.sure:,} and"
            f" event {life.ended:,}, when it began anew"
        )
    base = life.base(seq)
    if base is None and not life.empty:
        return f"{life.name} has no baseline at or before it"
    start = life.begun if base is None else base.first_as_of
    if not store.has(start, seq):
        return f"not all of the events of {life.name} behind event {start:,} are kept"
    return None


def _instead(store: Store, goal: Goal, names: Sequence[str], chosen: Collection[TablePlan]) -> str:
    """What can be had in the place of a state that cannot."""
    moments = sorted({seq for life in store.lives for seq in _moments(store, life)})
    before = (seq for seq in reversed(moments) if seq < goal.seq)
    after = (seq for seq in moments if seq > goal.seq)
    found = [
        f"event {seq:,}"
        for each in (before, after)
        if (seq := _first_whole(store, each, names)) is not None
    ]
    words = f"Nearest to it {' and '.join(found)} can be had: --until-seq." if found else ""
    if chosen:
        those = ", ".join(sorted(table.name for table in chosen))
        words += f" {'Of' if words else 'Only of'} that event: --table, for {those}."
    return words.strip() or "Baselines are written by cdc run, from which later states can be had."


def _moments(store: Store, life: Life) -> list[int]:
    """The ends of the stretches in which a table can be rebuilt."""
    moments = [each.last_as_of for each in life.baselines]
    if life.empty:
        moments.append(life.begun)
    end = store.newest if life.ended is None else min(life.sure or 0, life.ended - 1)
    moments += [end, min(life.begun + 1, end)]
    return moments


def _first_whole(store: Store, seqs: Iterable[int], names: Sequence[str]) -> int | None:
    """The first of these events whose state can be rebuilt."""
    for seq in islice(seqs, MOST_TRIED):
        goal = Goal(seq, None, whole=False, is_end=seq == store.newest)
        try:
            chosen, holes = _choose(store, goal, names)
        except ConfigError:
            continue
        if chosen and not holes:
            return seq
    return None
