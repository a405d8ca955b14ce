"""One table of a source, from what is kept of it to what is proven now."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from cdc.postgres import quarantine
from cdc.proof import kept
from cdc.proof.backward import BackwardDebts
from cdc.proof.debts import Debts
from cdc.proof.gaps import WHOLE, Gap, gaps
from cdc.proof.kept import Kept, KeptRange
from cdc.proof.outcome import TableOutcome
from cdc.proof.request import Request
from cdc.proof.rows import RowComparison
from cdc.proof.runs import another_waits
from cdc.proof.sides import Sides
from cdc.proof.snapshot import snapshot
from cdc.proof.source import ProofStopped
from cdc.proof.standing import Standing
from cdc.proof.suspects import Suspicion
from cdc.proof.table import TableProof, TargetMoved
from cdc.proof.touched import Touched
from cdc.proof.unordered import compare_whole
from cdc.schema import Key
from cdc.sqlite.connection import Wait

SAVE_SECONDS: Final = 1.0
"""How much of the work a kill may undo."""

MOST_TOUCHED: Final = 10
"""One key in so many rows: with more of them touched, ranges are digested anew instead."""

QUARANTINED_AT_ONCE: Final = 100


class TableRun:
    """The proof of one table in one run. `max_age` is how old a kept range may be."""

    def __init__(
        self,
        sides: Sides,
        outcome: TableOutcome,
        wait: Wait,
    ) -> None:
        self._sides = sides
        self._source = sides.table.source
        self._target = sides.target
        self._outcome = outcome
        # While others write to the target, a row that differs may only be on its way back.
        self._backward = sides.table.written
        judged = RowComparison(sides, outcome)
        self._rows = Suspicion(sides, outcome) if self._backward else judged
        self._debts: Debts | BackwardDebts = (
            BackwardDebts(sides, judged, wait) if self._backward else Debts(sides, judged, wait)
        )
        self._standing: Standing | None = None
        self._unsaved: list[KeptRange] = []
        self._yields = False
        self._next_save = time.monotonic() + SAVE_SECONDS

    def run(self, touched: Touched, request: Request) -> None:
        """Prove the table: what is kept by the keys touched since, all else by its ranges."""
        started = time.monotonic()
        self._yields = request.yields
        with self._target.lease() as conn:
            with snapshot(conn, self._sides.table) as seen:
                standing = self._standing = seen.standing
                held = kept.load(conn, self._source, self._sides.captured.name, standing)
            self._outcome.guarded = standing.guarded
            if standing.state != "live":
                raise TargetMoved(f"{self._outcome.target} is not copied yet.")
        proof = TableProof(
            self._sides,
            self._rows,
            self._outcome,
            keep=self._unsaved.append,
            flush=self._save_when_due,
        )
        usable: list[KeptRange] = []
        if not (request.full or self._backward):
            usable = self._usable(held, touched, request, ranged=proof.ranged)
        whole = None
        if proof.ranged:
            self._prove_ranges(proof, held, usable, touched)
        else:
            whole = self._prove_whole(held, usable, touched)
        self._outcome.owed = self._debts.settle()
        self._check_quarantine()
        self._outcome.done = True
        if self._outcome.equal and not self._backward:
            if whole is not None:
                self._unsaved.append(whole)
                self._save()
            with self._target.lease() as conn:
                name, position = self._sides.captured.name, touched.position
                kept.advance(conn, self._source, name, standing, position=position, mark=held.mark)
        self._outcome.seconds = time.monotonic() - started

    def _usable(
        self, held: Kept, touched: Touched, request: Request, *, ranged: bool
    ) -> list[KeptRange]:
        """The ranges that the log, and the keys that it names, can stand for. A table that is not
        `ranged` has one, which is all of it, and is not compared anew by parts.
        """
        max_age = request.max_age if ranged else min(request.max_age, request.turn)
        oldest = datetime.now(UTC) - max_age
        ranges = [
            each
            for each in held.ranges
            if each.position >= touched.since and each.proven_at and each.proven_at >= oldest
        ]
        keys = len(touched.of(self._sides.layout)) + len(held.touched)
        rows = sum(each.rows for each in ranges)
        if keys * MOST_TOUCHED > rows and keys >= MOST_TOUCHED:
            return []
        return _without_oldest(ranges, request.renew * rows) if ranged else ranges

    def _prove_ranges(
        self, proof: TableProof, held: Kept, usable: list[KeptRange], touched: Touched
    ) -> None:
        left = gaps(usable)
        if left is None:
            usable, left = [], [WHOLE]
        self._go_on_from(held, usable, touched)
        self._prove(proof, left)

    def _prove_whole(
        self, held: Kept, usable: list[KeptRange], touched: Touched
    ) -> KeptRange | None:
        """Prove a table that can only be compared whole; returns what was compared now. It may be
        kept once what was suspected is settled, too: no key of that need be one that the log names.
        """
        self._go_on_from(held, usable, touched)
        if usable:
            return None
        compare_whole(self._sides, self._rows, self._outcome)
        rows, position = self._outcome.target_rows, self._outcome.position
        return KeptRange(None, None, rows or 0, b"", position)

    def _go_on_from(self, held: Kept, usable: list[KeptRange], touched: Touched) -> None:
        """Rest on some of what is kept, with the keys owed that were touched since; forget the
        others.
        """
        self._outcome.kept_ranges = len(usable)
        self._outcome.kept_rows = sum(each.rows for each in usable)
        times = (each.proven_at for each in usable if each.proven_at)
        self._outcome.kept_since = min(times, default=None)
        useless = [each for each in held.ranges if each not in usable]
        if useless:
            with self._target.lease() as conn:
                kept.forget(conn, useless)
        if usable:
            self._owe([*touched.of(self._sides.layout), *held.touched])

    def _prove(self, proof: TableProof, left: list[Gap]) -> None:
        try:
            proof.run(left)
        finally:
            self._save()

    def _owe(self, keys: list[Key]) -> None:
        with suppress(TypeError):  # NULL, or storage classes mixed: then any order will do
            keys.sort()  # keys that lie near each other are found sooner one after the other
        for form, key in zip(self._sides.table.forms_of_keys(keys), keys, strict=True):
            self._sides.owe(form, key)

    def _save_when_due(self) -> None:
        if time.monotonic() >= self._next_save:
            self._save()
            if self._yields:
                self._make_way()

    def _make_way(self) -> None:
        with self._target.lease() as conn:
            if another_waits(conn):
                raise ProofStopped("Another proof waits.")

    def _save(self) -> None:
        self._next_save = time.monotonic() + SAVE_SECONDS
        # What others may write to at any moment stands for nothing later.
        if self._unsaved and self._standing is not None and not self._backward:
            with self._target.lease() as conn:
                kept.save(
                    conn, self._source, self._sides.captured.name, self._standing, self._unsaved
                )
        self._unsaved.clear()

    def _check_quarantine(self) -> None:
        """Count the rows that are missing by rights, and the entries that no row stands behind."""
        with self._target.lease() as conn:
            entries = quarantine.entries(conn, self._source, self._sides.captured.name)
            if not entries:
                return
            with snapshot(conn, self._sides.table) as seen:
                position = seen.position
        lookup = self._sides.lookup()
        for at in range(0, len(entries), QUARANTINED_AT_ONCE):
            with self._sides.file.reading():
                for entry in entries[at : at + QUARANTINED_AT_ONCE]:
                    form = self._sides.table.key_forms(entry.key)
                    row = lookup.row(entry.key)
                    if row is not None:
                        name = "quarantined" if entry.dropped_at is None else "dropped"
                        setattr(self._outcome, name, getattr(self._outcome, name) + 1)
                    elif not self._sides.is_in_flight(form, position):
                        self._outcome.stale += 1


def _without_oldest(ranges: list[KeptRange], rows: float) -> list[KeptRange]:
    """The ranges but for the oldest, which hold at least so many rows."""
    left = sorted(ranges, key=lambda each: each.proven_at or datetime.max.replace(tzinfo=UTC))
    dropped = 0
    while left and dropped < rows:
        dropped += left.pop(0).rows
    return left
