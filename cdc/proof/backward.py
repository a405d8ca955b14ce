"""The proof while PostgreSQL is master, and what is written there is brought back to SQLite.

There is no position to go by. Rows that are equal in a digest, or at one look, are equal. All
others are owed: they are looked at again, key by key, until they are equal, or certainly differ:
SQLite's row stayed the same around a snapshot of PostgreSQL in which the queue holds nothing of the
table. So a row that differs because its last write is still on its way is no difference, and one
that the way back has lost is.
"""

import time
from collections.abc import Sequence
from typing import Final

from cdc.errors import GateMoved
from cdc.proof.debts import AT_ONCE, PAUSE_SECONDS
from cdc.proof.following import Form
from cdc.proof.rows import RowComparison
from cdc.proof.sides import Sides
from cdc.proof.snapshot import Snapshot, snapshot
from cdc.proof.source import STOPPED, ProofStopped
from cdc.schema import Key, Row
from cdc.sqlite.connection import Wait

CERTAIN: Final = 2
"""How often a row has to differ at rest: SQLite's could have been another one in between."""

PATIENCE_SECONDS: Final = 10.0
"""How long to look for anything more that is settled, before what is owed stays so."""


class BackwardDebts:
    """What is owed of one table."""

    def __init__(self, sides: Sides, rows: RowComparison, wait: Wait) -> None:
        self._sides = sides
        self._rows = rows
        self._wait = wait
        self._seen_to_differ: dict[Form, int] = {}
        self._epoch: int | None = None

    def settle(self) -> int:
        """Look at what is owed until all is settled, or nothing more is; how many are left.

        Raises ProofStopped where the waits were called off.
        """
        following, layout = self._sides.following, self._sides.layout
        end = time.monotonic() + PATIENCE_SECONDS
        while owed := following.owed(layout):
            keys = list(owed.items())
            for at in range(0, len(keys), AT_ONCE):
                self._look(keys[at : at + AT_ONCE])
                self._sides.file.give_way()
            left = len(following.owed(layout))
            if left < len(owed):
                end = time.monotonic() + PATIENCE_SECONDS
            elif time.monotonic() > end:
                break
            if left and self._wait(PAUSE_SECONDS):
                raise ProofStopped(STOPPED)
        return len(following.owed(layout))

    def _look(self, owed: Sequence[tuple[Form, Key]]) -> None:
        sides = self._sides
        before = self._read(owed)
        with sides.target.lease() as conn, snapshot(conn, sides.table) as seen:
            self._check(seen)
            on_the_way = seen.queued()
            theirs = seen.rows_of([key for _, key in owed])
        after = self._read(owed)
        for form, key in owed:
            row, found = after[form], theirs.get(form)
            if not sides.table.same(row, found):
                if on_the_way or row != before[form]:
                    continue
                times = self._seen_to_differ[form] = self._seen_to_differ.get(form, 0) + 1
                if times < CERTAIN:
                    continue
            self._rows.judge(key, row, found)
            sides.following.settle(sides.layout, form)

    def _check(self, seen: Snapshot) -> None:
        epoch = seen.standing.epoch
        self._epoch = epoch if self._epoch is None else self._epoch
        if epoch != self._epoch:
            raise GateMoved("the gate was closed meanwhile: begin anew, when it is settled")

    def _read(self, owed: Sequence[tuple[Form, Key]]) -> dict[Form, Row | None]:
        lookup = self._sides.lookup()
        with self._sides.file.reading():
            rows = lookup.rows([key for _, key in owed])
        return {form: rows.get(key) for form, key in owed}
