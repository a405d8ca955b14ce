"""One source's part of the event store: written, and the changelog pruned behind it.

Each pass is a thread's own, beside replication: it opens the file for itself, reads what was
applied, and holds no connection to PostgreSQL while it reads.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from cdc.archive.chain import Chain, logs
from cdc.archive.ends import Ends, check_ends, ends_of
from cdc.archive.reader import Archive
from cdc.archive.retention import DAY_SECONDS, expendable
from cdc.archive.writing import MB, EventsDraft, Limits
from cdc.config import Config, SourceConfig
from cdc.errors import ArchiveError, SourceReplaced
from cdc.event import JULIAN_DAY_OF_UNIX_EPOCH
from cdc.logs import fields
from cdc.pipeline.baselines import BaselineWriter, Tables
from cdc.postgres import archived, hold_back, state
from cdc.postgres.connection import Target
from cdc.sqlite import layouts
from cdc.sqlite import log as changelogs
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.log import Position
from cdc.sqlite.pruning import FEWEST, prune
from cdc.sqlite.rows import Bound
from cdc.stop import Stop

log = logging.getLogger(__name__)

READ_EVENTS: Final = 5_000
"""Events that one short read brings."""

RETENTION_SECONDS: Final = 3_600.0

BASELINE_SECONDS: Final = 30.0
"""About how long one pass writes baselines: the events go on, and must be archived, too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What PostgreSQL says at the beginning of a pass."""

    log_id: str
    applied: Position
    ends: Ends | None
    wishes: dict[str, float]


class SourceArchive:
    """Writes the store of one source and prunes its changelog. For one thread at a time."""

    def __init__(self, config: Config, source: SourceConfig, target: Target, stop: Stop) -> None:
        self.source = source
        self._settings = config.archive
        self._directory = config.archive_directory
        self._target = target
        self._stop = stop
        self._lock_bound = config.replication.lock_bound_ms / 1000 / 2
        self._limits = Limits(self._settings.segment_events, self._settings.segment_mb * MB)
        self._chain: Chain | None = None
        self._recorded: Ends | None = None
        self._next_flush = 0.0
        self._next_retention = 0.0
        self._pruned_to = 0
        self.last_seq = 0
        """The newest event that is in the store."""

    def work(self, *, baselines: bool = True, everything: bool = False) -> None:
        """One pass; `everything` archives what would otherwise wait for more of its kind.

        Raises a SourceError, a TargetError or an ArchiveError; the next pass goes on from there.
        """
        asked = self._ask()
        if asked is None:
            return
        try:
            with SourceFile(self.source.path) as file:
                durable = asked.applied.seq
                if self._settings.enabled:
                    chain = self._opened(asked)
                    self._archive(file, chain, asked, everything=everything)
                    if baselines:
                        self._write_baselines(file, chain, asked.wishes, in_haste=everything)
                    self._record(ends_of(chain))
                    durable = min(durable, self.last_seq)
                self._prune(file, asked, durable)
        except ArchiveError:
            self._chain = None  # what is on disk is what counts
            raise

    def _ask(self) -> Asked | None:
        name = self.source.name
        with self._target.lease() as conn:
            known = state.source(conn, name)
            if known is None:
                return None
            ends = [e for e in archived.read_ends(conn, name) if e.log_id == known.log_id]
            wishes = archived.wanted_baselines(conn, name)
        applied = Position(known.applied_seq, known.applied_digest or b"", known.applied_at)
        return Asked(known.log_id, applied, ends[0] if ends else None, wishes)

    def _opened(self, asked: Asked) -> Chain:
        """The chain of the log, found to be all that is known of it."""
        if self._chain is None or self._chain.log != asked.log_id:
            chain = Chain(self._directory, self.source.name, asked.log_id)
            check_ends(chain, asked.ends)
            self.last_seq = ends_of(chain).last_seq
            self._recorded = asked.ends
            self._chain = chain
        return self._chain

    def _archive(self, file: SourceFile, chain: Chain, asked: Asked, *, everything: bool) -> None:
        """Write the events that were applied into segments, but for too few of them too soon."""
        waiting = asked.applied.seq - self.last_seq
        due = everything or time.monotonic() >= self._next_flush
        if waiting <= 0 or (waiting < self._limits.events and not due):
            return
        reader = LogReader(file, asked, chain, self._lock_bound)
        while not self._stop.asked and reader.seq < asked.applied.seq:
            waiting = asked.applied.seq - reader.seq
            if waiting < self._limits.events and not due:
                break
            draft = EventsDraft(chain, reader.definitions, self._limits)
            while not draft.full and reader.seq < asked.applied.seq:
                started = time.monotonic()
                draft.add(reader.read(min(draft.room, READ_EVENTS)))
                if not everything and self._rest(started):
                    return  # what is not written yet will be read again
            draft.write()
            self.last_seq = reader.seq
        self._next_flush = time.monotonic() + self._settings.segment_seconds

    def _rest(self, started: float) -> bool:
        """Leave the processor to replication for as long as we had it; whether to stop."""
        return self._stop.wait(time.monotonic() - started)

    def _write_baselines(
        self, file: SourceFile, chain: Chain, wishes: dict[str, float], *, in_haste: bool
    ) -> None:
        writer = BaselineWriter(
            file,
            self.source,
            chain,
            self._limits.size,
            Bound(self._lock_bound, READ_EVENTS),
            rest=(lambda _: self._stop.asked) if in_haste else self._rest,
            deadline=inf if in_haste else time.monotonic() + BASELINE_SECONDS,
        )
        tables = Tables.of(file, self.source)
        for table in tables.due(chain, wishes, self._settings.baseline_days * DAY_SECONDS):
            self._record(ends_of(chain))
            writer.write(table, begun=self._forget_wish(table.name, wishes))
            if self._stop.asked or writer.over:
                return
        if time.monotonic() >= self._next_retention:
            self._next_retention = time.monotonic() + RETENTION_SECONDS
            self._thin_out(chain, tables)

    def _forget_wish(self, table: str, wishes: dict[str, float]) -> Callable[[], None]:
        def forget() -> None:
            if table in wishes:
                with self._target.lease() as conn:
                    archived.end_wish(conn, self.source.name, table, asked_by=wishes[table])

        return forget

    def _record(self, ends: Ends) -> None:
        if ends != self._recorded:
            with self._target.lease() as conn:
                archived.record_ends(conn, ends)
            self._recorded = ends

    def _thin_out(self, chain: Chain, tables: Tables) -> None:
        """Delete segments that are too old, and the archives of logs that have ended."""
        settings, now = self._settings, time.time()
        count = expendable(
            Archive(chain),
            tables.layouts,
            now=now,
            keep_days=settings.keep_days,
            keep_bytes=settings.keep_mb * MB,
        )
        if count and not self._is_replayed():
            # Recorded first: what is deleted then is missed by nobody.
            self._record(ends_of(chain, first=count))
            self._delete(chain, count)
        if settings.keep_days:
            self._end_old_logs(chain, before=now - settings.keep_days * DAY_SECONDS)

    def _is_replayed(self) -> bool:
        with self._target.lease() as conn:
            return hold_back.is_replayed(conn, self.source.name)

    def _delete(self, chain: Chain, count: int) -> None:
        """Delete so many segments, oldest first, until somebody begins to read them."""
        deleted = 0
        with self._target.lease() as conn:
            while deleted < count:
                # One at a time: whoever asks for events waits for no more than that.
                with hold_back.unless_replayed(conn, self.source.name) as free:
                    if not free:
                        break
                    chain.let_go(chain.segments[:1])
                    deleted += 1
        if deleted:
            log.info(
                "Deleted %d segments of the archive of %s that no state needs which is kept.",
                deleted,
                self.source.name,
                extra=fields("archive_thinned", source=self.source.name, segments=deleted),
            )

    def _end_old_logs(self, chain: Chain, *, before: float) -> None:
        for log_id in logs(self._directory, self.source.name):
            old = Chain(self._directory, self.source.name, log_id)
            if log_id == chain.log or old.last is None or old.last.header.created_at > before:
                continue
            with self._target.lease() as conn:
                archived.forget_ends(conn, self.source.name, log_id)
            old.end()

    def _prune(self, file: SourceFile, asked: Asked, durable: int) -> None:
        """Take events out of the changelog that were applied long enough ago and are safe."""
        settings = self._settings
        if settings.prune == "never" or (settings.prune == "archived" and not settings.enabled):
            return
        now = time.time() / DAY_SECONDS + JULIAN_DAY_OF_UNIX_EPOCH
        with file.reading():
            changelog = Changelog(file)
            first = changelog.first()
            if not first or not changelog.holds(asked.applied):
                return  # replication finds out what became of the log
            old = changelog.last_before(now - settings.prune_after_seconds / DAY_SECONDS)
        # The event at the position stays: by it the log is known to be the one that was applied.
        end = min(durable - 1, old)
        if end - first < FEWEST:
            return
        with self._target.lease() as conn:
            end = hold_back.give_up(conn, self.source.name, end)
        prune(file, end, wait=self._stop.wait, stopped=lambda: self._stop.asked)


class LogReader:
    """Reads the events behind a chain's end, from a file that has to go on from there."""

    def __init__(self, file: SourceFile, asked: Asked, chain: Chain, lock_bound: float) -> None:
        self._file = file
        self._lock_bound = lock_bound
        self._up_to = asked.applied.seq
        header = next((s.events for s in reversed(chain.segments) if s.kind == "events"), None)
        with file.reading():
            own = changelogs.read(file)
            if own is None or own.id != asked.log_id:
                raise SourceReplaced(f"{file.path} does not hold the log {asked.log_id} any more.")
            self._changelog = Changelog(file)
            self.definitions = layouts.read_definitions(file)
            first = self._changelog.first()
        if header is None:
            self._position = asked.applied  # the event that has to be there
            self.seq = max(first - 1, 0)
        else:
            self._position = Position(header.last, bytes.fromhex(header.last_digest))
            self.seq = header.last
        if first > self.seq + 1:
            raise ArchiveError(
                f"The events {self.seq + 1} to {first - 1} of {file.path} were pruned before they"
                " were archived.",
                hint="Begin a new archive with cdc archive restart.",
            )

    def read(self, most: int) -> list[tuple[object, ...]]:
        """The next events, at most that many, in one short read."""
        with self._file.reading():
            if not self._changelog.holds(self._position):
                raise SourceReplaced(
                    f"The log of {self._file.path} does not go on from event {self._position.seq}."
                )
            found = self._changelog.read(self.seq, Bound(self._lock_bound, most), up_to=self._up_to)
        if not found.events:
            raise SourceReplaced(f"The log of {self._file.path} ends at event {self.seq}.")
        self._position = found.end
        self.seq = found.end.seq
        return found.events
