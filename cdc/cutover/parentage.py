"""No row may lose its parent in the cutover: all are looked at before the hold, what changed in it.

cdc writes in replica role, where it may, and no foreign key looks at that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.config import Config
from cdc.constraints import folded
from cdc.cutover.lasting import lasting_orphans
from cdc.cutover.phases import Aborted
from cdc.cutover.relations import Relation, made
from cdc.errors import CdcError, HoldEnded
from cdc.pipeline import errand, setting_aside
from cdc.postgres import constraints, orphans, state
from cdc.postgres.connection import Connection, Target
from cdc.postgres.keys import dump_key
from cdc.proof.target import ProvenTable
from cdc.schema import Key

ASIDE_SECONDS: Final = 60.0
"""For the daemon to set rows aside."""

AT_ONCE: Final = 1_000
"""Rows in one request to it."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What has changed in one table since some moment: the keys, and behind which event a row was
    last changed or deleted, not only added; 0 without such an event.
    """

    keys: frozenset[Key]
    changed_at: int


Changes = Mapping[tuple[str, str], Touched]
"""By source and table."""


class Parentage:
    """The foreign keys of one run, from before its proof to the end of its hold."""

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._all = [each for each in made(config, target) if each.policy != "leave not valid"]
        self._since: dict[str, int] = {}
        self._aside: dict[str, set[tuple[str, ...]]] = {}
        """What the rows refer to that were set aside, by the relation's name."""

    def settle(self) -> None:
        """Look at every row. Set aside those that a policy of "quarantine" is about, and make valid
        each key that has no orphans. Raises Aborted where one has that must not.

        It writes to the target, so the proof comes after it.
        """
        self._look(self._all)
        with self._target.lease() as conn:
            for relation in self._all:
                if orphans.is_valid(conn, relation.design) is False:
                    # It looks at the rows once more, in a lock that lets others read and write.
                    constraints.make_foreign_key(conn, relation.design)

    def look_again(self) -> None:
        """Do what is better done just before a hold than in it: look at the rows whose parents are
        not named by what an event tells, and set new orphans aside. As `settle`.
        """
        self._look([r for r in self._all if r.policy == "quarantine" or not r.to_key])

    def check(self, changes: Changes, seconds: float) -> None:
        """Raise Aborted where rows that changed since `settle` refer to none; all is held still.

        Raises HoldEnded where that would take longer than `seconds`, and where a row has to be set
        aside, or may return: after another `look_again` it may be otherwise.
        """
        if not self._all:
            return
        try:
            with self._target.lease() as conn:
                for relation in self._all:
                    if bad := self._orphans(conn, relation, changes, seconds):
                        self._refuse(relation, bad, HoldEnded)
                    self._check_aside(conn, relation)
        except orphans.TookTooLong as error:
            raise HoldEnded(f"The foreign keys could not be looked at: {error}.") from error

    def _look(self, relations: Sequence[Relation]) -> None:
        if not relations:
            return
        with self._target.lease() as conn:
            # First where both sides stand: what comes later is looked at in the hold.
            self._since = {source.name: source.applied_seq for source in state.sources(conn)}
        for relation in relations:
            if relation.policy == "quarantine":
                self._set_aside(relation)
                continue
            if bad := lasting_orphans(self._config, self._target, relation):
                self._refuse(relation, len(bad), Aborted)

    def _orphans(
        self, conn: Connection, relation: Relation, changes: Changes, seconds: float
    ) -> int:
        child = changes.get((relation.source, relation.child.source.name))
        if child is not None and child.keys:
            keys = ProvenTable(relation.source, relation.child).key_set(list(child.keys))
            if found := orphans.among(conn, relation.child, relation.design, keys):
                return found
        parent = changes.get((relation.parent_source, relation.parent.source.name))
        if parent is None or parent.changed_at <= self._since[relation.parent_source]:
            return 0
        if not relation.to_key:
            # By which values rows referred to them before they changed, nobody knows any more.
            with orphans.within(conn, seconds):
                return orphans.count(conn, relation.design)
        keys = ProvenTable(relation.parent_source, relation.parent).key_set(list(parent.keys))
        if not orphans.gone(conn, relation.parent, relation.design, keys):
            return 0
        with orphans.within(conn, seconds):
            return orphans.left_by(conn, relation.parent, relation.design, keys)

    def _check_aside(self, conn: Connection, relation: Relation) -> None:
        values = self._aside.get(str(relation))
        if values and orphans.found_again(conn, relation.design, sorted(values)):
            raise Aborted(
                f"{relation}: rows that were set aside have their parents by now",
                hint="Run cdc quarantine retry, and the command again.",
            )

    def _refuse(self, relation: Relation, bad: int, otherwise: type[CdcError]) -> None:
        if relation.policy == "quarantine":
            raise otherwise(f"{relation}: {bad:,} more rows refer to none.")
        raise Aborted(
            f"{relation}: {bad:,} rows refer to none",
            hint="Mend them in SQLite, or say in orphans what is to become of them.",
        )

    def _set_aside(self, relation: Relation) -> None:
        found = lasting_orphans(self._config, self._target, relation)
        own = folded(relation.columns[0])
        columns = relation.child.source.columns
        position = next(i for i, column in enumerate(columns) if folded(column.name) == own)
        for at in range(0, len(found), AT_ONCE):
            errand.run(
                self._config,
                self._config.source(relation.source),
                self._target,
                setting_aside.KIND,
                {
                    "table": relation.child.source.name,
                    "keys": [dump_key(key) for key, _ in found[at : at + AT_ONCE]],
                    "position": position,
                    "reason": f"it refers to no row of {relation.parent.source.name}",
                },
                command="cdc cutover",
                wait_seconds=ASIDE_SECONDS,
            )
        self._aside.setdefault(str(relation), set()).update(values for _, values in found)
