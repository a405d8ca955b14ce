"""PostgreSQL, as the services use it after the move: psycopg, rows only, in a role without DDL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import FloatLoader
from psycopg.types.string import TextLoader

from cdc.demo import inserts
from cdc.demo.environment import POSTGRESQL
from cdc.demo.inserts import Conflict
from cdc.demo.services.desk import Desk, Tally, Transaction
from cdc.demo.session import Session

CONNECT_SECONDS: Final = 5

SESSION: Final = "-c timezone=America/New_York -c datestyle=ISO"
"""The services write what the clocks of New York show, without a zone, as they always did."""


class PostgresTransaction(Transaction):
    """A transaction of the connection that the service keeps."""

    def __init__(self, connection: psycopg.Connection) -> None:
        super().__init__()
        self._connection = connection
        self._changed = False

    @property
    def changed(self) -> bool:
        return self._changed

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Iterator[Any]:
        cursor = self._connection.execute(_placed(statement), parameters)
        if cursor.description is not None:
            return iter(cursor)
        self._changed |= cursor.rowcount > 0
        return iter(())

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        conflict: Conflict = Conflict.FAIL,
    ) -> None:
        statement = inserts.postgresql(table, columns, conflict)
        for row in rows:
            self.execute(statement, row)

    def commit(self) -> None:
        self._connection.commit()


class PostgresDesk(Desk):
    """One connection, made when it is needed, and made anew after an error of the server's."""

    engine: ClassVar[str] = POSTGRESQL
    errors: ClassVar[type[Exception]] = psycopg.Error

    def __init__(self, tally: Tally, database_url: str) -> None:
        super().__init__(tally)
        self._database_url = database_url
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def begin(self, file: str) -> Iterator[PostgresTransaction]:
        """All tables are in one database; which file one came from does not matter any more."""
        del file
        connection = self._connected()
        try:
            yield PostgresTransaction(connection)
        finally:
            if not connection.closed:
                connection.rollback()

    def migrate(self, file: str, change: Callable[[Session], object]) -> None:
        """The tables are there, and their shape is not the services' business."""

    def is_locked(self, error: Exception) -> bool:
        del error
        return False

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._database_url,
                connect_timeout=CONNECT_SECONDS,
                application_name=self.tally.service,
                options=SESSION,
            )
            _read_as_before(self._connection)
        return self._connection


def _placed(statement: str) -> bytes:
    """A statement with the placeholders of psycopg in place of SQLite's."""
    return statement.replace("?", "%s").encode()


class _MomentLoader(Loader):
    """A moment as the services have written it: what the clocks of New York showed."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        precision = "microseconds" if "." in text else "seconds"
        return datetime.fromisoformat(text).replace(tzinfo=None).isoformat(timespec=precision)


def _read_as_before(connection: psycopg.Connection) -> None:
    """Numbers come as float, times as text: the code that reads them knows nothing else."""
    connection.adapters.register_loader("numeric", FloatLoader)
    connection.adapters.register_loader("timestamptz", _MomentLoader)
    for name in ("date", "time", "timestamp"):
        connection.adapters.register_loader(name, TextLoader)
