"""How a service gets at the files, and its count of what happened there."""

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

DEFAULT_TIMEOUT_SECONDS: Final = 5.0
"""How long Python's sqlite3 waits for a lock where the service says nothing."""

log = logging.getLogger(__name__)


class Desk:
    """The files as one service opens them. Counts:

    - `writes`: transactions that changed rows and whose COMMIT returned,
    - `locked`: how often SQLite said that a database is locked,
    - `refused`: other errors of SQLite, such as those of a file that is frozen,
    - `slowest_ms`: the longest time from a transaction's first statement to the return of its
      COMMIT, waiting for locks included, among those that count as writes.
    """

    def __init__(
        self, service: str, directory: Path, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        self.service = service
        self.writes = 0
        self.locked = 0
        self.refused = 0
        self.slowest_ms = 0.0
        self._directory = directory
        self._timeout_seconds = timeout_seconds

    @contextmanager
    def connection(self, file: str) -> Iterator[sqlite3.Connection]:
        """A connection for reading, or for DDL, which Python commits by itself."""
        path = self._directory / file
        with closing(sqlite3.connect(path, timeout=self._timeout_seconds)) as connection:
            yield connection

    @contextmanager
    def transaction(self, file: str) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are committed at the end, and lost if an error ends it."""
        with self.connection(file) as connection:
            started = time.perf_counter()
            yield connection
            connection.commit()
            if connection.total_changes:
                self._acknowledged((time.perf_counter() - started) * 1000.0)

    def read(
        self, file: str, statement: str, parameters: tuple[object, ...] = ()
    ) -> list[tuple[Any, ...]]:
        """All rows of a query. No transaction is left open, so no later write builds on it."""
        with self.connection(file) as connection:
            return connection.execute(statement, parameters).fetchall()

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do some work; log and go on where SQLite refuses it. Whether it was done."""
        try:
            work()
        except sqlite3.Error as error:
            self._failed(error)
            return False
        return True

    def report(self) -> str:
        """The counts as one line of JSON."""
        return json.dumps(
            {
                "service": self.service,
                "writes": self.writes,
                "locked": self.locked,
                "slowest_ms": round(self.slowest_ms, 3),
                "refused": self.refused,
            }
        )

    def _acknowledged(self, milliseconds: float) -> None:
        self.writes += 1
        self.slowest_ms = max(self.slowest_ms, milliseconds)

    def _failed(self, error: sqlite3.Error) -> None:
        # The code, not the message: extended codes of SQLITE_BUSY read "database is locked" too.
        # An error of the module itself has no code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & 0xFF == sqlite3.SQLITE_BUSY:
            self.locked += 1
        else:
            self.refused += 1
        log.error("%s: %s", self.service, error)
