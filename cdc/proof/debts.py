"""Keys that are still to be compared, one by one: in flight before, or named by the log.

A key is compared at rest where nothing changed it between the target's position and the moment at
which SQLite is read. Where it keeps changing, its last logged image up to that position counts: so
a row that changes each second does not escape.
"""

import time
from collections.abc import Sequence
from typing import Final

from cdc.proof.following import Form
from cdc.proof.rows import RowComparison
from cdc.proof.sides import Sides
from cdc.proof.snapshot import snapshot
from cdc.proof.source import STOPPED, ProofStopped
from cdc.proof.target import TargetRow
from cdc.schema import Key, Row
from cdc.sqlite.connection import Wait
from cdc.sqlite.lookup import TOGETHER
from cdc.sqlite.rows import Gulps

AT_ONCE: Final = 1_000
"""Keys looked up in one snapshot of the target."""

PATIENCE_SECONDS: Final = 5.0
"""How long to wait for the target to apply anything at all, before what is owed stays so."""

PAUSE_SECONDS: Final = 0.05


class Debts:
    """What is owed of one table."""

    def __init__(
        self,
        sides: Sides,
        rows: RowComparison,
        wait: Wait,
    ) -> None:
        self._sides = sides
        self._rows = rows
        self._wait = wait

    def settle(self, patience: float | None = None) -> int:
        """Compare what is owed, as long as the target advances; how many are left.

        `patience` is how many seconds it may stand still, PATIENCE_SECONDS where it is not given.

        Raises ProofStopped where the waits were called off.
        """
        following, layout = self._sides.following, self._sides.layout
        patience = PATIENCE_SECONDS if patience is None else patience
        last, end = -1, time.monotonic() + patience
        while owed := following.owed(layout):
            position = -1
            keys = list(owed.items())
            for at in range(0, len(keys), AT_ONCE):
                position = self._settle(keys[at : at + AT_ONCE])
            if position != last or len(following.owed(layout)) < len(owed):
                last, end = position, time.monotonic() + patience
            elif time.monotonic() > end:
                break
            if following.owed(layout) and self._wait(PAUSE_SECONDS):
                raise ProofStopped(STOPPED)
        return len(following.owed(layout))

    def _settle(self, owed: Sequence[tuple[Form, Key]]) -> int:
        sides = self._sides
        with sides.target.lease() as conn, snapshot(conn, sides.table) as seen:
            self._rows.look(seen)
            # Both sides are looked up at once.
            with seen.asking([key for _, key in owed]) as answer:
                rows = self._read_at_rest(owed, seen.position)
                theirs = answer()
        following, layout = sides.following, sides.layout
        for form, key in owed:
            found = theirs.get(form)
            if form in rows:
                self._rows.judge(key, rows[form], found)
            elif not self._judge_moving(form, key, found, seen.position):
                continue
            following.settle(layout, form)
        following.forget(seen.position)
        return seen.position

    def _read_at_rest(
        self, owed: Sequence[tuple[Form, Key]], position: int
    ) -> dict[Form, Row | None]:
        """SQLite's rows of the keys that nothing has changed behind `position`, in short reads."""
        sides, lookup = self._sides, self._sides.lookup()
        rows: dict[Form, Row | None] = {}
        at = 0
        while at < len(owed):
            with sides.file.reading():
                gulps = Gulps(sides.file.seconds, TOGETHER)
                while at < len(owed) and gulps.left > 0:
                    some = owed[at : at + gulps.size]
                    at_rest = {
                        form: key for form, key in some if not sides.is_in_flight(form, position)
                    }
                    found = lookup.rows([*at_rest.values()])
                    rows.update((form, found.get(key)) for form, key in at_rest.items())
                    at += len(some)
                    gulps.taken()
            sides.file.give_way()
        return rows

    def _judge_moving(self, form: Form, key: Key, found: TargetRow | None, position: int) -> bool:
        change = self._sides.following.at(self._sides.layout, form, position)
        if change is None:
            return False
        self._rows.judge(key, change.row, found)
        return True
