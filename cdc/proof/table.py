"""One table compared: range by range where both sides have one order of keys.

Each range has its own pair of moments: PostgreSQL's rows and position P in one snapshot, then
SQLite's rows at S ≥ P in a read transaction within the lock bound. Keys that changed in (P, S] are
in flight; every other row must be equal. So nothing has to stand still, and no snapshot is old.

While SQLite's rows of one range are read and packed, PostgreSQL digests the next.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import md5
from typing import Final

from cdc.ahead import ReadAhead
from cdc.errors import CdcError
from cdc.proof.gaps import WHOLE, Gap
from cdc.proof.kept import KeptRange
from cdc.proof.outcome import TableOutcome
from cdc.proof.rows import RangeDigest, RowComparison, SourceRange
from cdc.proof.sides import Sides
from cdc.proof.snapshot import Snapshot, snapshot
from cdc.proof.target import Bound, TargetRange
from cdc.schema import Row
from cdc.sqlite.walk import TableWalk

FIRST_RANGE: Final = 1_000
MOST_VALUES: Final = 400_000
"""Values (rows times columns) in one range: two are in memory at once."""

SLACK: Final = 64
"""Rows that SQLite may have in a range beyond those of PostgreSQL, before another read is made."""

MOST_SENT: Final = 2_000
"""Rows in a range of which PostgreSQL has to send values."""


class TargetMoved(CdcError):
    """The target table is not the one any more with which the proof began; look anew."""


@dataclass(slots=True)
class _Opened:
    """A range in PostgreSQL, its snapshot still open."""

    snapshot: Snapshot
    gap: Gap
    found: TargetRange
    stack: ExitStack


class TableProof:
    """The proof of one table that is being written and replicated. For one thread at a time."""

    def __init__(
        self,
        sides: Sides,
        rows: RowComparison,
        outcome: TableOutcome,
        *,
        keep: Callable[[KeptRange], None],
        flush: Callable[[], None],
    ) -> None:
        self._file = sides.file
        self._table = table = sides.table
        self._target = sides.target
        self._rows = rows
        self._outcome = outcome
        self._keep = keep
        self._flush = flush
        self._walk = TableWalk(sides.file.file, sides.captured.source)
        self._most = max(1, MOST_VALUES // len(table.mapped.source.columns))
        if table.sends_values:
            self._most = min(self._most, MOST_SENT)
        self._limit = min(FIRST_RANGE, self._most)
        self._copied_at: datetime | None = None
        self._digests = (md5(usedforsecurity=False), md5(usedforsecurity=False))
        self._at_rest = True
        self._target_rows = 0

    @property
    def ranged(self) -> bool:
        """Whether both sides have the table's keys in one order."""
        return self._walk.order.by_key and self._table.ordered

    def run(self, gaps: Sequence[Gap]) -> None:
        """Compare all rows in these gaps."""
        ahead: ReadAhead[_Opened] = ReadAhead()
        try:
            for gap in gaps:
                self._run_gap(gap, ahead)
        finally:
            ahead.close()
        whole = len(gaps) == 1 and gaps[0] == WHOLE
        if whole:
            self._outcome.target_rows = self._target_rows
        if whole and self._at_rest and not self._outcome.differences:
            ours, theirs = self._digests
            self._outcome.source_digest = ours.hexdigest()
            self._outcome.target_digest = theirs.hexdigest()

    def _run_gap(self, gap: Gap, ahead: ReadAhead[_Opened]) -> None:
        opened: _Opened | None = self._open(gap)
        try:
            while opened is not None:
                end = opened.found.end
                going_on = end is not None and end != gap.end
                if going_on:
                    ahead.start(partial(self._open, Gap(end, gap.end)))
                with opened.stack:
                    self._compare(opened)
                opened = None
                if going_on:
                    opened = ahead.take()
                self._flush()
                self._file.give_way()
        finally:
            if opened is not None:
                opened.stack.close()
            ahead.forget(lambda left: left.stack.close())

    def _open(self, gap: Gap) -> _Opened:
        """The next range in PostgreSQL, digested in a snapshot that stays open."""
        with ExitStack() as stack:
            conn = stack.enter_context(self._target.lease())
            seen = stack.enter_context(snapshot(conn, self._table))
            self._check(seen)
            found = seen.digest(gap.after, gap.end, self._limit)
            return _Opened(seen, gap, found, stack.pop_all())

    def _check(self, seen: Snapshot) -> None:
        standing = seen.standing
        if self._copied_at is None:
            self._copied_at = standing.copied_at
        if standing.state != "live" or standing.copied_at != self._copied_at:
            raise TargetMoved(f"{self._outcome.target} is being copied again.")

    def _compare(self, opened: _Opened) -> None:
        seen, found = opened.snapshot, opened.found
        after, end = opened.gap.after, found.end or opened.gap.end
        self._file.following.forget(seen.position)
        self._rows.look(seen)
        self._outcome.position = max(self._outcome.position, seen.position)
        before = self._outcome.differences
        ours = self._digest(after, end, found.rows)
        if ours.digests == found.digests and ours.rows == found.rows:
            self._rows.count_equal(ours)
        else:
            self._at_rest = False
            theirs = seen.rows(after, end)
            for rows in self._read(after, end, found.rows):
                self._rows.compare(rows, theirs, seen.position)
            self._rows.compare_rest(theirs, seen.position)
        self._outcome.ranges += 1
        self._target_rows += found.rows
        theirs_digest = b"".join(found.digests)
        self._digests[0].update(b"".join(ours.digests))
        self._digests[1].update(theirs_digest)
        if self._outcome.differences == before:
            digest = md5(theirs_digest, usedforsecurity=False).digest()
            self._keep(KeptRange(after, end, found.rows, digest, seen.position))
        self._limit = min(self._limit * 2, self._most)

    def _digest(self, after: Bound | None, end: Bound | None, rows: int) -> SourceRange:
        """SQLite's rows of a range, digested; their digests are empty where some have no form."""
        digest = RangeDigest(self._table, self._rows)
        for found in self._read(after, end, rows, digest.add):
            digest.add(found)
        return digest.end()

    def _read(
        self,
        after: Bound | None,
        end: Bound | None,
        rows: int,
        take: Callable[[list[Row]], object] | None = None,
    ) -> Iterator[list[Row]]:
        """SQLite's rows of a range, in as many short reads as that takes.

        These may be of different moments: a row that changed in between is in flight all the same,
        since the log is read to its end with each of them. With `take`, rows are handed to it while
        others are read, and only what is left is returned.
        """
        place, last = after.key if after else None, False
        while not last:
            with self._file.reading() as bound:
                limit = bound(max(1, rows) + SLACK)
                stretch = self._walk.read_range(place, end.key if end else None, limit, take)
            yield stretch.rows
            place, last = stretch.place, stretch.last
