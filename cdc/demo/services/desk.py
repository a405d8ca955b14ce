"""How a service gets at its data, on either side, and its count of what happened there."""

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cdc.demo.environment import POSTGRESQL
from cdc.demo.inserts import Conflict
from cdc.demo.services.ledger import HOMES, Ledger, Receipts
from cdc.demo.session import Session

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What a service has been through on all its desks:

    - `writes`: transactions that changed rows and whose COMMIT returned,
    - `on_postgresql`: how many of them PostgreSQL took,
    - `locked`: how often SQLite said that a database is locked,
    - `refused`: other errors, such as those of a file that is frozen or of a closed gate,
    - `slowest_ms`: the longest time from a transaction's first statement to the return of its
      COMMIT, waiting for locks included, among those that count as writes.
    """

    service: str
    writes: int = 0
    on_postgresql: int = 0
    locked: int = 0
    refused: int = 0
    slowest_ms: float = 0.0
    ledger: Ledger = field(default_factory=Ledger)

    def report(self) -> str:
        """The counts as one line of JSON."""
        return json.dumps(
            {
                "service": self.service,
                "writes": self.writes,
                "on_postgresql": self.on_postgresql,
                "locked": self.locked,
                "slowest_ms": round(self.slowest_ms, 3),
                "refused": self.refused,
                "checked": self.ledger.count.checked,
                "lost": self.ledger.count.lost,
                "doubled": self.ledger.count.doubled,
            }
        )


class Transaction(ABC):
    """One transaction of a service, which is rolled back unless it is committed."""

    def __init__(self) -> None:
        self.receipts = Receipts()

    @property
    @abstractmethod
    def changed(self) -> bool:
        """Whether it has changed a row."""

    @abstractmethod
    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Iterator[Any]:
        """As of a `Session`."""

    @abstractmethod
    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        conflict: Conflict = Conflict.FAIL,
    ) -> None:
        """Insert rows, in the words of the database that this leads to."""

    @abstractmethod
    def commit(self) -> None:
        """Make it last."""


class Desk(ABC):
    """The data as one service opens it."""

    engine: ClassVar[str]
    errors: ClassVar[type[Exception]]
    """What its driver raises."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    @abstractmethod
    def begin(self, file: str) -> AbstractContextManager[Transaction]:
        """A transaction on the tables of a file; the driver's errors pass through."""

    @abstractmethod
    def migrate(self, file: str, change: Callable[[Session], object]) -> None:
        """Have the legacy system look after the tables of a file, where they are its own."""

    @abstractmethod
    def is_locked(self, error: Exception) -> bool:
        """Whether the database was only busy."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is kept open between transactions."""

    @contextmanager
    def transaction(self, file: str) -> Iterator[Transaction]:
        """A transaction that is committed at the end, and lost if an error ends it."""
        ledger = self.tally.ledger
        with self.begin(file) as transaction:
            started = time.perf_counter()
            yield transaction
            try:
                transaction.commit()
            except self.errors:
                ledger.doubt(transaction.receipts.rows)
                raise
            ledger.acknowledge(transaction.receipts.rows)
            if transaction.changed:
                self._count((time.perf_counter() - started) * 1000.0)

    def read(
        self, file: str, statement: str, parameters: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        """All rows of a query. No transaction is left open, so no later write builds on it."""
        with self.begin(file) as transaction:
            return list(transaction.execute(statement, parameters))

    def check(self) -> None:
        """Hold what is there against all that was acknowledged so far, wherever it was."""
        ledger = self.tally.ledger
        for table in ledger.tables:
            with self.begin(HOMES[table].file) as transaction:
                ledger.check(table, transaction)

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do some work; log and go on where the database refuses it. Whether it was done."""
        try:
            work()
        except self.errors as error:
            self._failed(error)
            return False
        return True

    def _count(self, milliseconds: float) -> None:
        self.tally.writes += 1
        self.tally.on_postgresql += self.engine == POSTGRESQL
        self.tally.slowest_ms = max(self.tally.slowest_ms, milliseconds)

    def _failed(self, error: Exception) -> None:
        if self.is_locked(error):
            self.tally.locked += 1
        else:
            self.tally.refused += 1
        log.error("%s: %s", self.tally.service, error)
