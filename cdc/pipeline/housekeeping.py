"""What the daemon does now and then beside replicating: old boundaries go, disks are watched."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from cdc.config import Config
from cdc.errors import SourceError, TargetError
from cdc.event import JULIAN_DAY_OF_UNIX_EPOCH
from cdc.logs import fields
from cdc.pipeline.disk import HOUR_SECONDS, Outlook, outlooks
from cdc.pipeline.progress import SourceProgress, SourceState
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.sqlite import surroundings
from cdc.sqlite.connection import is_there

log = logging.getLogger(__name__)

DISK_SECONDS: Final = 60.0
PRUNE_SECONDS: Final = 3600.0


class Housekeeping:
    """Due at intervals; call `when_due` often."""

    def __init__(
        self, config: Config, target: Target, progress: Sequence[SourceProgress] = ()
    ) -> None:
        self._config = config
        self._progress = progress
        self._target = target
        self._next_disk = self._next_prune = time.monotonic()

    def when_due(self) -> None:
        """Do what is due by now."""
        now = time.monotonic()
        if now >= self._next_disk:
            self._next_disk = now + DISK_SECONDS
            self._watch_disks()
            self._watch_backlogs()
        if now >= self._next_prune:
            self._next_prune = now + PRUNE_SECONDS
            self._prune_boundaries()

    def _watch_disks(self) -> None:
        least = self._config.replication.min_free_disk_mb
        for source in self._config.sources:
            try:
                free = surroundings.free_mb(source.path)
            except SourceError as error:
                # Its worker reports it; the next minute does as well.
                log.debug("%s", error, extra=fields("disk_not_measured", source=source.name))
                continue
            if free < least:
                log.error(
                    "The disk of %s has only %d MB left; below %d MB the next start is refused."
                    " Make room, or let PostgreSQL catch up: until then each write adds to the"
                    " changelog.",
                    source.path,
                    free,
                    least,
                    extra=fields("disk_low", source=source.name, free_mb=free),
                )

    def _watch_backlogs(self) -> None:
        """Raise the alarm for each source whose backlog will fill its disk before long."""
        longest = self._config.replication.disk_alarm_hours * HOUR_SECONDS
        try:
            found = outlooks(self._config, self._applied())
        except SourceError as error:
            # Its worker reports it; the next minute does as well.
            log.debug("%s", error, extra=fields("disk_not_measured"))
            return
        for name, outlook in found.items():
            if outlook.seconds_left is not None and outlook.seconds_left < longest:
                _alarm(name, outlook)

    def _applied(self) -> dict[str, int]:
        """How far each source is applied whose file is there; but for those that PostgreSQL is the
        master of.
        """
        there = {source.name for source in self._config.sources if is_there(source.path)}
        return {
            each.name: each.applied_seq
            for each in self._progress
            if each.name in there and each.state is not SourceState.RETURNING
        }

    def _prune_boundaries(self) -> None:
        days = self._config.replication.boundary_days
        before = time.time() / 86400 + JULIAN_DAY_OF_UNIX_EPOCH - days
        try:
            with self._target.lease() as conn:
                for source in self._config.sources:
                    state.prune_boundaries(conn, source.name, before=before)
        except TargetError as error:
            # The next hour does it as well.
            log.warning("%s", error, extra=fields("prune_postponed"))


def _alarm(name: str, outlook: Outlook) -> None:
    log.error(
        "PostgreSQL has not taken the changes of %s for %.1f h: %d events (%.1f MB) wait in its"
        " file, which grows by %.1f MB an hour, mostly by %s; its disk lasts for %.1f h more. Bring"
        " PostgreSQL back, make room, or end the capture of what you can copy again later (cdc"
        " uninstall --source %s, with --table for one table).",
        name,
        outlook.waiting_seconds / HOUR_SECONDS,
        outlook.waiting_events,
        outlook.waiting_bytes / 1_000_000,
        outlook.bytes_per_hour / 1_000_000,
        outlook.largest,
        (outlook.seconds_left or 0.0) / HOUR_SECONDS,
        name,
        extra=fields(
            "disk_filling",
            source=name,
            hours_left=round((outlook.seconds_left or 0.0) / HOUR_SECONDS, 2),
            waiting_events=outlook.waiting_events,
        ),
    )
