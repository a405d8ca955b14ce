"""Events that a backup needs, kept in the changelogs until it is made."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Final, Self

from cdc.errors import BackupError
from cdc.postgres import hold_back
from cdc.postgres.connection import Connection

OWNER: Final = "backup"

HOLD_SECONDS: Final = 3_600.0
"""After a kill nothing is pruned for so long."""

RENEW_SECONDS: Final = 600.0

LOOKS: Final = 10
"""How often the positions are looked at again, where what they need has just been pruned."""


class Holding:
    """Keeps the events from each source's position on, by its name; `positions` tells where they
    are by now. Leaving the block ends it.
    """

    def __init__(self, conn: Connection, positions: Callable[[], Mapping[str, int]]) -> None:
        self._conn = conn
        self._positions = positions
        self._behind: dict[str, int] = {}
        self._renew_at = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._let_go)
            for _ in range(LOOKS - 1):
                with suppress(BackupError):  # the pruner was quicker
                    self._begin()
                    break
            else:
                self._begin()
            undo.pop_all()
        return self

    def _begin(self) -> None:
        # The event at the position itself is how the target knows the log.
        self._behind = {name: max(seq - 1, 0) for name, seq in self._positions().items()}
        self.renew()

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        for name in self._behind:
            hold_back.let_go(self._conn, name, OWNER)

    def renew(self) -> None:
        """Hold on for longer, if it is time. Raises BackupError where some are gone."""
        if time.monotonic() < self._renew_at:
            return
        for name, seq in self._behind.items():
            if not hold_back.keep_from(self._conn, name, OWNER, seq, seconds=HOLD_SECONDS):
                raise BackupError(
                    f"Events of {name} that the backup needs were pruned meanwhile.",
                    hint="Run it again; it is behind PostgreSQL for a moment only.",
                )
        self._renew_at = time.monotonic() + RENEW_SECONDS
