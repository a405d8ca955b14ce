"""SQLite's side of a proof: short reads of a live file, each at a moment that is known."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cdc.errors import CdcError, SchemaMoved
from cdc.proof.following import Following, OnTheWay
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.rows import Bound

SHARE: Final = 0.2
"""How much of the time a proof may hold SQLite's lock while somebody writes. In rollback-journal
mode a COMMIT waits for readers; with this, the median one meets none."""


STOPPED: Final = "Stopped before its end; what is proven so far is kept."


class ProofStopped(CdcError):
    """The proof was asked to end."""

    exit_code = 1


class ProvenSource:
    """An open file, its schema as it was when the proof began. For one thread.

    `seconds` is how long one read may take, `spent` how long the last one took.
    """

    def __init__(
        self,
        file: SourceFile,
        schema_version: int,
        seconds: float,
        following: Following | OnTheWay,
        wait: Wait,
        *,
        share: float | None = None,
    ) -> None:
        self.file = file
        self.seconds = seconds
        self.following = following
        self.spent = 0.0
        self._schema_version = schema_version
        self._wait = wait
        self._held = 0.0
        self._share = share
        self._rested_at = time.monotonic()
        self._seen = file.data_version

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], Bound]]:
        """A read transaction whose moment S is the end of what `following` knows.

        Yields what makes the bound of a read of so many rows. Raises SchemaMoved.
        """
        while True:
            self.following.catch_up()
            with self.file.reading():
                if self.file.schema_version != self._schema_version:
                    raise SchemaMoved(f"The schema of {self.file.path} changed.")
                if not self.following.is_at_end():
                    continue
                started = time.monotonic()
                try:
                    yield lambda rows: Bound(self.seconds, rows)
                finally:
                    self.spent = time.monotonic() - started
                    self._held += self.spent
                return

    def give_way(self) -> None:
        """Where somebody else writes to the file, leave it to them for a while.

        With a `share` the proof works for no more of the time than that, whoever writes.

        Raises ProofStopped where the waits were called off.
        """
        now = self.file.data_version
        if self._share is not None:
            pause = (time.monotonic() - self._rested_at) * (1 - self._share) / self._share
        else:
            pause = 0.0 if now == self._seen else self._held * (1 - SHARE) / SHARE
        self._seen, self._held = now, 0.0
        if self._wait(pause):
            raise ProofStopped(STOPPED)
        self._rested_at = time.monotonic()
