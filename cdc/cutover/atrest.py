"""The proof while both sides stand still: what changed since every row was compared.

Before the standstill every row has been compared. Rows that no event has touched since that began,
and that nobody has written without an event, are as they were then. All others are compared here,
key by key, while nothing moves on either side. Files and mappings are ready before it.

On the way forward that is inside the hold, and the comparison before it is the proof. On the way
back PostgreSQL is closed, and the comparison before it has left suspects (`cdc.proof.suspects`).
However long that comparison took: what changed since is settled right before the standstill, so
that what is left to it does not grow with the data.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Final, Self

from cdc.config import Config, SourceConfig
from cdc.crossing.pairs import pairs
from cdc.cutover.parentage import Touched
from cdc.cutover.phases import Aborted
from cdc.errors import CdcError, HoldEnded, TargetError, TargetRefused
from cdc.event import LAYOUT, OP, SEQ, VALUES, Op
from cdc.mapping.literals import literal
from cdc.postgres import hold_back, queue, state
from cdc.postgres.connection import Connection, Target
from cdc.postgres.switches import Direction
from cdc.proof import kept
from cdc.proof.following import LogGone
from cdc.proof.snapshot import snapshot
from cdc.proof.sources import CONNECTIONS
from cdc.proof.suspects import suspects
from cdc.proof.target import ProvenTable
from cdc.schema import Key
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.lookup import Lookup
from cdc.sqlite.moves import application_schema
from cdc.sqlite.rows import Bound

KEEP_SECONDS: Final = 3600.0
"""For how long the events are kept from being pruned, for a run that died."""

MOST_EVENTS: Final = 1_000_000

AT_ONCE: Final = 200
"""Rows that are looked up in one short read of a file."""

SETTLING_ROUNDS: Final = 5
"""Each takes as long as the one before gave others to write in: they shrink quickly, or not."""

MOST_NAMED: Final = 3
"""Rows that differ, in a message."""

_REMEDY: Final[dict[Direction, str]] = {
    "forward": "Run cdc verify: it names the rows. cdc verify --repair mends them.",
    "back": "PostgreSQL goes on. Write these rows there once more (UPDATE … SET id = id), which"
    " brings them back as they are, and run the command again.",
}


class Changed(CdcError):
    """What was proven before the hold is not what is there now: prove again."""


class SourceAtRest:
    """One source, from before its last whole proof on. For one thread at a time."""

    def __init__(self, source: SourceConfig, target: Target, direction: Direction) -> None:
        """Note where the source stands; the whole proof comes after this."""
        self._name = source.name
        self._direction = direction
        self._open: dict[int, set[Key]] = {}
        """The keys that are to be compared at rest, by layout."""
        self._touched: dict[int, set[Key]] = {}
        self._changed_at: dict[int, int] = {}
        self.changes: dict[str, Touched] = {}
        self.compared = 0
        """Rows that `differences` has compared."""
        self._target = target
        self._owner = f"cutover {os.getpid()}"
        self._file = SourceFile(source.path)
        try:
            with target.lease() as conn:
                since = hold_back.keep_from_stand(
                    conn,
                    self._name,
                    self._owner,
                    partial(self._stand, conn),
                    seconds=KEEP_SECONDS,
                )
                if since is None:
                    raise LogGone(
                        f"The log of {source.path} does not reach back to event"
                        f" {self._stand(conn)}, and it is needed from there on.",
                        hint="Let cdc run catch up first: it takes events from the archive.",
                    )
                self._since = since
                self._pairs = {p.captured.layout: p for p in pairs(conn, self._file, source.name)}
                self._copies = self._read_copies(conn)
        except BaseException:
            self._file.close()
            raise
        self._tables = self._proven_tables(written=False)
        self._before = self._proven_tables(written=direction == "back")
        """As `_tables`, as long as nothing stands still."""

    def _stand(self, conn: Connection) -> int:
        """The event from which on changes are read; with the schema of that moment noted."""
        known = state.source(conn, self._name)
        if known is None:
            raise TargetRefused(f"{self._name} was never replicated to this target")
        with self._file.reading():
            self._schema = application_schema(self._file)
            end = Changelog(self._file).newest()
        return known.applied_seq if self._direction == "forward" else end

    def close(self) -> None:
        """Let go of the file and of the events."""
        self._file.close()
        # Without PostgreSQL that ends by itself a little later.
        with suppress(TargetError), self._target.lease() as conn:
            hold_back.let_go(conn, self._name, self._owner)

    def look_while_open(self, seconds: float, wait: Wait) -> bool:
        """Compare every row while PostgreSQL is written to; whether that leaves few enough over.

        `seconds` bounds one read of the file. Raises CdcError, as a proof does.
        """
        with self._target.lease() as conn:
            self._check_unchanged(conn)
        tables = [(self._pairs[layout].captured, table) for layout, table in self._before.items()]
        found = suspects(
            self._file, tables, self._target, since=self._since, seconds=seconds, wait=wait
        )
        for layout, keys in (found or {}).items():
            self._open.setdefault(layout, set()).update(keys)
        return found is not None

    def settle(self, seconds: float) -> int:
        """Compare what has changed so far, and so leave less to the standstill; how many rows.

        A row that is equal differs later only by an event behind the log's end of before both were
        looked at: on the way forward where PostgreSQL was at that end; on the way back at once,
        since whatever is written in PostgreSQL after the look comes back as such an event.
        `seconds` bounds one read of the file. Raises as `differences`, and GateMoved.
        """
        with self._file.reading():
            newest = Changelog(self._file).newest()
        while not self._read_on(seconds) and self._since < newest:
            continue
        end = self._since
        looked_at = 0
        with self._target.lease() as conn:
            for layout, keys in self._open.items():
                listed = list(keys)
                looked_at += len(listed)
                for at in range(0, len(listed), AT_ONCE):
                    at_once = listed[at : at + AT_ONCE]
                    position, different = self._compare(conn, self._before[layout], layout, at_once)
                    if position >= end or self._direction == "back":
                        keys.difference_update(at_once)
                        keys.update(different)
        return looked_at

    def differences(self, seconds: float) -> list[str]:
        """Which of the rows that changed differ, while all stands still and is drained: names.

        `seconds` bounds the reading of the log. Raises HoldEnded, Changed. Afterwards `changes`
        says what has changed, by table.
        """
        with self._target.lease() as conn:
            self._check_unchanged(conn)
            if not self._read_on(seconds):
                raise HoldEnded(f"{self._name}: too much has changed since it was compared last.")
            names = []
            self.compared = 0
            for layout, pair in self._pairs.items():
                held = kept.load_unproven(conn, self._name, pair.captured.name)
                keys = self._open.get(layout, set()).union(held)
                if keys:
                    table = self._tables[layout]
                    _, different = self._compare(conn, table, layout, list(keys))
                    self.compared += len(keys)
                    names += [_named(pair.captured.name, key) for key in different]
                touched = self._touched.get(layout, set()).union(keys)
                self.changes[pair.captured.name] = Touched(
                    frozenset(touched), self._changed_at.get(layout, 0)
                )
            return names

    def _check_unchanged(self, conn: Connection) -> None:
        if self._read_copies(conn) != self._copies:
            raise Changed(f"{self._name}: a table is being copied again.")
        if self._direction == "forward":
            return  # the hold watches the schema, and the guard keeps others out of the tables
        with self._file.reading():
            if application_schema(self._file) != self._schema:
                raise Changed(f"The schema of {self._file.path} changed.")
        tables = [pair.mapped for pair in self._pairs.values()]
        if queue.followed(conn, self._name, tables) != len(tables):
            raise Changed(
                f"{self._name}: somebody has taken the queue's triggers off a table, or disabled"
                " them: what was written meanwhile has not come back.",
                hint="ALTER TABLE … ENABLE ALWAYS TRIGGER _cdc_queue, _cdc_queue_all.",
            )

    def _read_copies(self, conn: Connection) -> dict[str, tuple[str, datetime]]:
        tables = state.captured_tables(conn, self._name)
        return {table.name: (table.state, table.updated_at) for table in tables}

    def _read_on(self, seconds: float) -> bool:
        """Note whose rows have changed since the log was read last; whether that was all of it."""
        with self._file.reading():
            found = Changelog(self._file).read(self._since, Bound(seconds, MOST_EVENTS))
        if found.events and found.events[0][SEQ] != self._since + 1:
            raise Changed(f"{self._name}: events were pruned since the last proof.")
        self._changed_at |= {e[LAYOUT]: e[SEQ] for e in found.events if e[OP] != Op.INSERT}
        for event in found.events:
            pair = self._pairs.get(event[LAYOUT])
            if pair is not None:
                key = tuple(event[VALUES + at] for at in pair.mapped.key)
                self._open.setdefault(event[LAYOUT], set()).add(key)
                self._touched.setdefault(event[LAYOUT], set()).add(key)
        if found.events:
            self._since = found.events[-1][SEQ]
        return found.complete

    def _proven_tables(self, *, written: bool) -> dict[int, ProvenTable]:
        return {
            layout: ProvenTable(self._name, pair.mapped, written=written)
            for layout, pair in self._pairs.items()
        }

    def _compare(
        self, conn: Connection, table: ProvenTable, layout: int, keys: Sequence[Key]
    ) -> tuple[int, list[Key]]:
        """Where PostgreSQL was, and which of these rows SQLite had otherwise, or one side alone."""
        pair = self._pairs[layout]
        with snapshot(conn, table) as seen:
            if not seen.standing.guarded:
                raise Changed(f"{self._name}: {pair.captured.name} is not as the gates saw it.")
            aside = seen.quarantined() if seen.standing.quarantine[0] else frozenset()
            theirs = seen.rows_of(keys)
        lookup = Lookup(self._file, pair.captured.source)
        with self._file.reading():
            ours = lookup.rows([key for key in keys if key not in aside])
        return seen.position, [
            key for key in keys if not table.same(ours.get(key), theirs.get(table.key_forms(key)))
        ]


def _named(table: str, key: Key) -> str:
    return f"{table} {', '.join(literal(value) or 'NULL' for value in key)}"


class AtRest:
    """All sources of a configuration. A context: leaving it lets go of files and events."""

    def __init__(self, config: Config, target: Target, direction: Direction = "forward") -> None:
        self._config = config
        self._target = target
        self._direction = direction
        self._stack = ExitStack()
        self._sources: list[SourceAtRest] = []

    def __enter__(self) -> Self:
        """Note where each source stands; the whole proof comes after this."""
        try:
            for source in self._config.sources:
                self._sources.append(SourceAtRest(source, self._target, self._direction))
                self._stack.callback(self._sources[-1].close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def look_while_open(self, wait: Wait = time.sleep) -> bool:
        """As `SourceAtRest.look_while_open`, for all sources side by side."""
        seconds = self._config.replication.lock_bound_ms / 1000 / 2
        most = max(1, (self._config.postgres.max_connections - 1) // CONNECTIONS)
        with ThreadPoolExecutor(min(most, len(self._sources)), "cdc-suspects") as pool:
            return all(pool.map(lambda each: each.look_while_open(seconds, wait), self._sources))

    def settle(self) -> None:
        """As `SourceAtRest.settle`, for all sources, until no more is left than one look takes."""
        seconds = self._config.replication.lock_bound_ms / 1000 / 2
        for _ in range(SETTLING_ROUNDS):
            if sum([each.settle(seconds) for each in self._sources]) <= AT_ONCE:
                return

    @property
    def compared(self) -> int:
        """Rows that the last `check` has compared."""
        return sum(each.compared for each in self._sources)

    def check(self, seconds: float) -> dict[tuple[str, str], Touched]:
        """Raise Aborted unless both sides are equal; as `SourceAtRest.differences`. Returns what
        has changed, by source and table.
        """
        found = {
            source.name: each.differences(seconds)
            for source, each in zip(self._config.sources, self._sources, strict=True)
        }
        if any(found.values()):
            words = "; ".join(
                f"{name} in {len(rows)} rows ({', '.join(rows[:MOST_NAMED])})"
                for name, rows in found.items()
                if rows
            )
            raise Aborted(
                f"both sides differ while nothing moves: {words}", hint=_REMEDY[self._direction]
            )
        return {
            (source.name, table): touched
            for source, each in zip(self._config.sources, self._sources, strict=True)
            for table, touched in each.changes.items()
        }
