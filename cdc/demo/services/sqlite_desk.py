"""The seven files, as the legacy system opens them: anew for each write and each read."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from cdc.demo import inserts
from cdc.demo.environment import SQLITE
from cdc.demo.inserts import Conflict
from cdc.demo.services.desk import Desk, Tally, Transaction
from cdc.demo.session import Session

DEFAULT_TIMEOUT_SECONDS: Final = 5.0
"""How long Python's sqlite3 waits for a lock where the service says nothing."""


class SqliteTransaction(Transaction):
    """A connection of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    @property
    def changed(self) -> bool:
        return self._connection.total_changes > 0

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Iterator[Any]:
        return self._connection.execute(statement, parameters)

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        conflict: Conflict = Conflict.FAIL,
    ) -> None:
        self._connection.executemany(inserts.sqlite(table, columns, conflict), rows)

    def commit(self) -> None:
        self._connection.commit()


class SqliteDesk(Desk):
    """The files in one directory."""

    engine: ClassVar[str] = SQLITE
    errors: ClassVar[type[Exception]] = sqlite3.Error

    def __init__(
        self, tally: Tally, directory: Path, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        super().__init__(tally)
        self._directory = directory
        self._timeout_seconds = timeout_seconds

    @contextmanager
    def begin(self, file: str) -> Iterator[SqliteTransaction]:
        with self._connection(file) as connection:
            yield SqliteTransaction(connection)

    def migrate(self, file: str, change: Callable[[Session], object]) -> None:
        """Python commits DDL by itself."""
        with self._connection(file) as connection:
            change(connection)

    def is_locked(self, error: Exception) -> bool:
        # The code, not the message: extended codes of SQLITE_BUSY read "database is locked" too.
        # An error of the module itself has no code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return bool(code & 0xFF == sqlite3.SQLITE_BUSY)

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _connection(self, file: str) -> Iterator[sqlite3.Connection]:
        path = self._directory / file
        with closing(sqlite3.connect(path, timeout=self._timeout_seconds)) as connection:
            yield connection
