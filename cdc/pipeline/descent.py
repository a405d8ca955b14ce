"""Which target a captured table goes on with, when it or its capture is not what it was."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cdc.mapping import definition
from cdc.mapping.table import MappedTable
from cdc.postgres.mending import Origins
from cdc.postgres.state import CapturedTable
from cdc.sqlite.captures import Captured, Forebear


class Descent:
    """Which target each of the captured tables goes on with; `known` are the targets that there are
    by the names of their tables.
    """

    def __init__(self, captured: Collection[Captured], known: Mapping[str, CapturedTable]) -> None:
        self._captured = captured
        self._known = known
        self._made_for = {table.definition["capture"]: table for table in known.values()}
        self._alive = {each for capture in captured for each in _line(capture)}

    @property
    def followed(self) -> set[str]:
        """The names of the known targets that a captured table goes on with."""
        found = map(self.predecessor, self._captured)
        return {existing.name for existing in found if existing is not None}

    def lives_on(self, table: CapturedTable) -> bool:
        """Whether what this target was made for is a captured table now, or has gone into one."""
        return table.definition["capture"] in self._alive

    def predecessor(self, capture: Captured) -> CapturedTable | None:
        """The target of an earlier capture of the table, under this name or the one it had before.

        A rebuild may be seen between its DROP and its RENAME: then the table's own target, which
        lives on nowhere else, has been waiting for it under its name.
        """
        own = self._known.get(capture.name)
        if own is not None and not self.lives_on(own):
            return own
        line = (self._made_for.get(each) for each in _line(capture))
        return next((table for table in line if table is not None), None)


def _line(capture: Captured) -> Iterator[str]:
    """The ids of a capture and of those that it goes on from, nearer ones first."""
    yield capture.id
    yield from (forebear.id for forebear in capture.forebears)


Place = tuple[str, ...]
"""What no two targets may share: a table's name in its source, or a target's schema and name."""


@dataclass(frozen=True, slots=True)
class Succession:
    """What a captured table becomes; `kept` where that is what the `existing` target is."""

    capture: Captured
    existing: CapturedTable | None
    mapped: MappedTable
    kept: bool

    @property
    def takes(self) -> set[Place]:
        """The names that it has from now on: its own, and its target's."""
        return {(self.capture.name,), (self.mapped.schema, self.mapped.name)}

    @property
    def leaves(self) -> set[Place]:
        """The names that others may have from now on; none where its target moves nowhere."""
        if self.existing is None:
            return set()
        had = {(self.existing.name,), (self.existing.target_schema, self.existing.target_name)}
        return had - self.takes


def together(successions: Collection[Succession]) -> list[list[Succession]]:
    """Groups of those whose names go from one to another, so that they change all or none.

    A log that is moved on (log to log_1, log_1 to log_2) is one, two tables that swap names are
    another.
    """
    groups = {each.capture.name: [each] for each in successions}
    leaving = {place: each.capture.name for each in successions for place in each.leaves}
    for each in successions:
        for place in each.takes & leaving.keys():
            ours, others = groups[each.capture.name], groups[leaving[place]]
            if others is not ours:
                ours.extend(others)
                groups.update((member.capture.name, ours) for member in others)
    return list({id(group): group for group in groups.values()}.values())


def origins(capture: Captured, existing: CapturedTable, table: MappedTable) -> Origins:
    """For each column of `table` the one of the existing target that it goes on from.

    A column goes on as what SQLite says that it was called before, or, where nothing is known of
    that, under its own name; and only with the type that it had.
    """
    before = _names_before(capture, existing)
    kept = {column["source"]: column for column in existing.definition["columns"]}
    wanted = definition.dump(table, capture.id)["columns"]
    return tuple(
        kept[name]["name"] if name in kept and _same_type(kept[name], column) else None
        for name, column in (
            (before[target.source], column)
            for target, column in zip(table.columns, wanted, strict=True)
        )
    )


def _names_before(capture: Captured, existing: CapturedTable) -> tuple[str | None, ...]:
    known = (f for f in capture.forebears if f.id == existing.definition["capture"])
    own = Forebear(capture.id, tuple(c.name for c in capture.source.table.columns))
    return next(known, own).columns


def _same_type(before: Mapping[str, object], now: Mapping[str, object]) -> bool:
    where = ("name", "source")
    return {k: v for k, v in before.items() if k not in where} == {
        k: v for k, v in now.items() if k not in where
    }
