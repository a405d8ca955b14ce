"""Every row compared while PostgreSQL is master and written to: which may differ.

Nothing can be held against a row that differs then, since what it holds may be on its way back. But
a row that is equal has either been written in PostgreSQL later, and then an event behind the log's
end of before names its key, once the queue is empty; or it is equal still. So when both sides stand
still, only the suspects and the keys of those events are left to compare.
"""

from collections.abc import Sequence
from typing import Final

from cdc.postgres.connection import Target
from cdc.proof.following import Following
from cdc.proof.gaps import WHOLE
from cdc.proof.outcome import TableOutcome
from cdc.proof.rows import RowComparison
from cdc.proof.sides import Sides
from cdc.proof.snapshot import snapshot
from cdc.proof.source import STOPPED, ProofStopped, ProvenSource
from cdc.proof.table import TableProof
from cdc.proof.target import ProvenTable, TargetRow
from cdc.proof.unordered import compare_whole
from cdc.schema import Key, Row
from cdc.sqlite.captures import Captured
from cdc.sqlite.connection import SourceFile, Wait

LOOKS: Final = 10
LOOK_PAUSE_SECONDS: Final = 0.1
"""What was on its way at the first look is mostly there at the next ones."""

MOST_SUSPECTS: Final = 10_000
"""With more of them it is as well to compare every row when both sides stand still."""


class Suspicion(RowComparison):
    """Owes every row that differs, whatever the reason."""

    def __init__(self, sides: Sides, outcome: TableOutcome) -> None:
        super().__init__(sides, outcome)
        self._of = sides

    def judge(self, key: Key, row: Row | None, found: TargetRow | None) -> None:
        if not self._of.table.same(row, found):
            self._of.owe(self._of.table.key_forms(key), key)


def suspects(
    file: SourceFile,
    tables: Sequence[tuple[Captured, ProvenTable]],
    target: Target,
    *,
    since: int,
    seconds: float,
    wait: Wait,
) -> dict[int, set[Key]] | None:
    """The keys that may differ, by the layout of their table; None where they are too many.

    `tables` are said to be written to. `since` was the log's end before this; `seconds` bounds one
    read of the file. Raises CdcError: LogGone and TooFarBehind, where far too much is written
    meanwhile, and what a proof raises.
    """
    with file.reading():
        schema = file.schema_version
    following = Following(file, {c.layout: table for c, table in tables}, since, seconds)
    source = ProvenSource(file, schema, seconds, following, wait)
    every = [Sides(source, captured, table, target) for captured, table in tables]
    outcomes = [_compare(sides) for sides in every]
    found = {sides.layout: set(following.owed(sides.layout).values()) for sides in every}
    if any(outcome.differences for outcome in outcomes) or _count(found) > MOST_SUSPECTS:
        return None
    for _ in range(LOOKS):
        if not _count(found):
            break
        if wait(LOOK_PAUSE_SECONDS):
            raise ProofStopped(STOPPED)
        found = {sides.layout: _look_again(sides, found[sides.layout]) for sides in every}
    return found


def _compare(sides: Sides) -> TableOutcome:
    name = sides.captured.name
    outcome = TableOutcome(name, name)
    rows = Suspicion(sides, outcome)
    proof = TableProof(sides, rows, outcome, keep=_nothing_is_kept, flush=_nothing_is_kept)
    if proof.ranged:
        proof.run([WHOLE])
    else:
        compare_whole(sides, rows, outcome)
    return outcome


def _look_again(sides: Sides, keys: set[Key]) -> set[Key]:
    if not keys:
        return keys
    with sides.target.lease() as conn, snapshot(conn, sides.table) as seen:
        theirs = seen.rows_of(list(keys))
    lookup = sides.lookup()
    with sides.file.file.reading():
        ours = lookup.rows(list(keys))
    return {
        key
        for key in keys
        if not sides.table.same(ours.get(key), theirs.get(sides.table.key_forms(key)))
    }


def _count(found: dict[int, set[Key]]) -> int:
    return sum(map(len, found.values()))


def _nothing_is_kept(*_: object) -> None:
    """Ranges that are equal while the gate is open are not kept for later proofs."""
