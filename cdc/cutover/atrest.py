"""The proof inside the hold: what changed since the last whole proof, compared at one exact moment.

The proof before the hold has compared every row. Rows that no event has touched since it began, and
that nobody has written without an event, are as they were then. All others are compared here, key
by key, while nothing moves on either side. Files and mappings are ready before the hold.
"""

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from cdc.config import Config, SourceConfig
from cdc.cutover.phases import Aborted
from cdc.errors import CdcError, HoldEnded, TargetError, TargetRefused
from cdc.event import LAYOUT, SEQ, VALUES
from cdc.pipeline.pairs import Pair, pairs
from cdc.postgres import hold_back, state
from cdc.postgres.connection import Connection, Target
from cdc.proof import kept
from cdc.proof.snapshot import snapshot
from cdc.proof.target import ProvenTable
from cdc.schema import Key
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.lookup import row_of
from cdc.sqlite.rows import Bound

KEEP_SECONDS: Final = 3600.0
"""For how long the events are kept from being pruned, for a run that died."""

MOST_EVENTS: Final = 1_000_000


class Changed(CdcError):
    """What was proven before the hold is not what is there now: prove again."""


class SourceAtRest:
    """One source, from before its last whole proof on. For one thread."""

    def __init__(self, source: SourceConfig, target: Target) -> None:
        """Note where the source stands; the whole proof comes after this."""
        self._name = source.name
        self._target = target
        self._owner = f"cutover {os.getpid()}"
        self._file = SourceFile(source.path)
        try:
            with target.lease() as conn:
                known = state.source(conn, source.name)
                if known is None:
                    raise TargetRefused(f"{source.name} was never replicated to this target")
                self._since = known.applied_seq
                hold_back.keep_from(
                    conn, self._name, self._owner, self._since, seconds=KEEP_SECONDS
                )
                self._pairs = {p.captured.layout: p for p in pairs(conn, self._file, source.name)}
                self._copies = self._read_copies(conn)
        except BaseException:
            self._file.close()
            raise
        self._tables = {
            layout: ProvenTable(source.name, pair.mapped) for layout, pair in self._pairs.items()
        }

    def close(self) -> None:
        """Let go of the file and of the events."""
        self._file.close()
        # Without PostgreSQL that ends by itself a little later.
        with suppress(TargetError), self._target.lease() as conn:
            hold_back.let_go(conn, self._name, self._owner)

    def differences(self, seconds: float) -> int:
        """How many of the rows that changed differ, while all is held still and drained.

        `seconds` bounds the reading of the log. Raises HoldEnded, Changed.
        """
        with self._target.lease() as conn:
            if self._read_copies(conn) != self._copies:
                raise Changed(f"{self._name}: a table is being copied again.")
            touched = self._touched(seconds)
            for layout, pair in self._pairs.items():
                held = kept.load_unproven(conn, self._name, pair.captured.name)
                touched.setdefault(layout, set()).update(held)
            return sum(self._compare(conn, layout, keys) for layout, keys in touched.items())

    def _read_copies(self, conn: Connection) -> dict[str, tuple[str, datetime]]:
        tables = state.captured_tables(conn, self._name)
        return {table.name: (table.state, table.updated_at) for table in tables}

    def _touched(self, seconds: float) -> dict[int, set[Key]]:
        with self._file.reading():
            found = Changelog(self._file).read(self._since, Bound(seconds, MOST_EVENTS))
        if not found.complete:
            raise HoldEnded(
                f"{self._name}: too much has changed since the last proof to be compared in a hold."
            )
        if found.events and found.events[0][SEQ] != self._since + 1:
            raise Changed(f"{self._name}: events were pruned since the last proof.")
        touched: dict[int, set[Key]] = {}
        for event in found.events:
            pair = self._pairs.get(event[LAYOUT])
            if pair is not None:
                key = tuple(event[VALUES + at] for at in pair.mapped.key)
                touched.setdefault(event[LAYOUT], set()).add(key)
        return touched

    def _compare(self, conn: Connection, layout: int, keys: Iterable[Key]) -> int:
        pair, table, wanted = self._pairs[layout], self._tables[layout], list(keys)
        if not wanted:
            return 0
        with snapshot(conn, table) as seen:
            if not seen.standing.guarded or seen.standing.quarantine[0]:
                raise Changed(f"{self._name}: {pair.captured.name} is not as the gates saw it.")
            theirs = seen.rows_of(wanted)
        with self._file.reading():
            return sum(not self._equal(pair, table, key, theirs) for key in wanted)

    def _equal(
        self,
        pair: Pair,
        table: ProvenTable,
        key: Key,
        theirs: dict[tuple[tuple[str, object], ...], tuple[tuple[str, object], ...]],
    ) -> bool:
        row = row_of(self._file, pair.captured.source, key)
        found = theirs.get(table.key_forms(key))
        if row is None or found is None:
            return row is None and found is None
        return all(
            column.forms.of_source(row[column.source]) == value
            for column, value in zip(table.columns, found, strict=True)
        )


class AtRest:
    """All sources of a configuration. A context: leaving it lets go of files and events."""

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._stack = ExitStack()
        self._sources: list[SourceAtRest] = []

    def __enter__(self) -> Self:
        """Note where each source stands; the whole proof comes after this."""
        try:
            for source in self._config.sources:
                self._sources.append(SourceAtRest(source, self._target))
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

    def check(self, seconds: float) -> None:
        """Raise Aborted unless both sides are equal; as `SourceAtRest.differences`."""
        found = {
            source.name: each.differences(seconds)
            for source, each in zip(self._config.sources, self._sources, strict=True)
        }
        if any(found.values()):
            rows = ", ".join(f"{name} in {count} rows" for name, count in found.items() if count)
            raise Aborted(
                f"both sides differ while all is held still: {rows}",
                hint="Run cdc verify: it names the rows. cdc verify --repair mends them.",
            )
