"""How far the target is behind, asked of both sides; works with the daemon up or down."""

import time
from dataclasses import dataclass
from datetime import datetime

from cdc.config import Config, SourceConfig
from cdc.event import unix_seconds
from cdc.pipeline.progress import SourceState
from cdc.postgres import left_out, quarantine, queue, reverse, state, stopped
from cdc.postgres.connection import Connection, Target
from cdc.postgres.left_out import LeftOut
from cdc.postgres.stopped import StoppedTable
from cdc.proof import drift
from cdc.proof.drift import Drift
from cdc.sqlite import direction, freeze, log, surroundings
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.direction import Direction
from cdc.sqlite.freeze import Freeze
from cdc.sqlite.lock import Holder, holder


@dataclass(frozen=True, slots=True)
class TableStatus:
    """One table in the target; `rows` counts those copied so far or at the end of the copy.

    `quarantined` counts the rows that it could not hold, but for those that were given up.
    """

    name: str
    target: str
    live: bool
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class SourceLag:
    """One source. `lag_seconds` is the age of the oldest event that is not applied, 0 without one.

    `copied` says whether every table's copy is complete; until then the lag says little. `left_out`
    is what the target lacks of the source's schema.
    `stopped` are the tables that wait for the operator. `freeze` is the write lock of the file,
    None without one.

    `returning` says that PostgreSQL is master: then the lag is that of the way back, its events are
    entries of the queue, and `left_behind` counts rows that SQLite could not hold. From
    `finished_at` (UTC) on it is that for good, and there is no lag.
    """

    name: str
    path: str
    captured_seq: int
    applied_seq: int
    lag_events: int
    lag_seconds: float
    state: str
    message: str
    copied: bool
    holder: Holder | None
    tables: tuple[TableStatus, ...]
    left_out: tuple[LeftOut, ...]
    stopped: tuple[StoppedTable, ...]
    freeze: Freeze | None = None
    drift: tuple[Drift, ...] = ()
    returning: bool = False
    left_behind: int = 0
    finished_at: datetime | None = None

    @property
    def quarantined(self) -> int:
        """How many rows of all tables are in the quarantine."""
        return sum(table.quarantined for table in self.tables)

    @property
    def settled(self) -> bool:
        """Whether the lag means something: all is copied and nothing waits for a decision."""
        over = (SourceState.HALTED, SourceState.FINISHED)
        return self.copied and not self.stopped and self.state not in over


def measure(config: Config, target: Target) -> list[SourceLag]:
    """The lag of every source of the configuration, in its order."""
    with target.lease() as conn:
        known = state.identity(conn)
        version = known.version if known else 0
        return [_measure(conn, source, version) for source in config.sources]


def _measure(conn: Connection, source: SourceConfig, version: int) -> SourceLag:
    """The lag of one source; `version` is that of the schema cdc, 0 where there is none yet."""
    surroundings.check_owner(source.path)
    # The target first: what is captured meanwhile then counts as lag, never as negative lag.
    known = state.source(conn, source.name) if version else None
    tables = state.captured_tables(conn, source.name) if version else []
    has_quarantine = version >= quarantine.SINCE_VERSION
    quarantined = quarantine.counts(conn, source.name) if has_quarantine else {}
    has_stopped = version >= stopped.SINCE_VERSION
    waiting = stopped.stopped_tables(conn, source.name) if has_stopped else []
    applied = known.applied_seq if known else 0
    there = _in_file(source, applied)
    events, seconds = there.waiting(applied)
    left_behind = 0
    if there.returning:
        events, seconds = (0, 0.0) if there.finished_at else _way_back(conn, source)
        left_behind = len(reverse.quarantined(conn, source.name))
    running = holder(source.path)
    return SourceLag(
        name=source.name,
        path=str(source.path),
        captured_seq=there.captured,
        applied_seq=applied,
        lag_events=events,
        lag_seconds=seconds,
        state=SourceState.FINISHED if there.finished_at else _state(known, running),
        message=known.message if known else "",
        copied=bool(known) and all(table.state == "live" for table in tables),
        holder=running,
        tables=tuple(
            TableStatus(
                t.name,
                f"{t.target_schema}.{t.target_name}",
                t.state == "live",
                t.copied_rows,
                quarantined.get(t.name, 0),
            )
            for t in tables
        ),
        left_out=tuple(left_out.read(conn, source.name)) if known else (),
        stopped=tuple(waiting),
        drift=tuple(drift.present(conn, source.name)) if version >= drift.SINCE_VERSION else (),
        freeze=there.freeze,
        returning=there.returning,
        left_behind=left_behind,
        finished_at=there.finished_at,
    )


@dataclass(frozen=True, slots=True)
class _InFile:
    """What the file says: its newest event, when the oldest one that is not applied was made."""

    captured: int
    oldest: float | None
    freeze: Freeze | None
    direction: Direction | None

    @property
    def returning(self) -> bool:
        return self.direction is not None

    @property
    def finished_at(self) -> datetime | None:
        return self.direction.finished_at if self.direction else None

    def waiting(self, applied: int) -> tuple[int, float]:
        """How many events wait, and the age of the oldest in seconds."""
        events = max(0, self.captured - applied)
        if not events or self.oldest is None:
            return events, 0.0
        return events, max(0.0, time.time() - unix_seconds(self.oldest))


def _in_file(source: SourceConfig, applied: int) -> _InFile:
    with SourceFile(source.path) as file, file.reading():
        if log.read(file) is None:
            return _InFile(0, None, None, None)
        changelog = Changelog(file)
        return _InFile(
            changelog.newest(),
            changelog.time_of_first_after(applied),
            freeze.read(file),
            direction.read(file),
        )


def _way_back(conn: Connection, source: SourceConfig) -> tuple[int, float]:
    """How many entries of the queue wait, and the age of the oldest in seconds."""
    waiting = queue.backlog(conn, source.name)
    if waiting.oldest is None:
        return 0, 0.0
    return waiting.entries, max(0.0, time.time() - waiting.oldest.timestamp())


def _state(known: state.Source | None, running: Holder | None) -> str:
    if known is None:
        return SourceState.STARTING if running else "new"
    if running or known.state == SourceState.HALTED:
        return known.state
    return SourceState.STOPPED
