"""What the daemon does now and then beside replicating: old boundaries go, disks are watched."""

import logging
import time
from typing import Final

from cdc.config import Config
from cdc.errors import TargetError
from cdc.event import JULIAN_DAY_OF_UNIX_EPOCH
from cdc.logs import fields
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.sqlite import surroundings

log = logging.getLogger(__name__)

DISK_SECONDS: Final = 60.0
PRUNE_SECONDS: Final = 3600.0


class Housekeeping:
    """Due at intervals; call `when_due` often."""

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._next_disk = self._next_prune = time.monotonic()

    def when_due(self) -> None:
        """Do what is due by now."""
        now = time.monotonic()
        if now >= self._next_disk:
            self._next_disk = now + DISK_SECONDS
            self._watch_disks()
        if now >= self._next_prune:
            self._next_prune = now + PRUNE_SECONDS
            self._prune_boundaries()

    def _watch_disks(self) -> None:
        least = self._config.replication.min_free_disk_mb
        for source in self._config.sources:
            if not source.path.exists():
                continue  # its worker says so
            free = surroundings.free_mb(source.path)
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
