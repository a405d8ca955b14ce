"""A connection to a live SQLite file that does no harm to the system that writes to it.

Reads are short: whoever reads within `reading()` keeps an eye on the lock bound. Writes give way:
one that meets a lock rolls back at once and tries later, because in rollback-journal mode a
COMMIT of ours that waits would shut out the legacy system's readers.
"""

import os
import random
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

import apsw

from cdc.errors import SchemaMoved, SourceBusy, SourceError, SourceUnavailable

T = TypeVar("T")
Wait = Callable[[float], object]
"""Waits that many seconds; returns something true, at once, when the wait was called off."""

READ_PATIENCE_SECONDS: Final = 2.0
READ_POLL_SECONDS: Final = 0.0005
"""SQLite's own busy handler sleeps up to 100 ms between two looks; a writer that commits without a
pause leaves gaps of a millisecond, which it would miss for minutes."""

READ_LOOKS: Final = 100
"""However long they take."""

BREATH_SECONDS: Final = 0.02
"""Between two moments at which writers are let in while a large schema is looked at."""

WRITE_PATIENCE_SECONDS: Final = 30.0
WRITE_PAUSE_SECONDS: Final = 0.02


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn APSW's exceptions into ours, with what an operator can do about each."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError, apsw.ProtocolError) as error:  # the last of a WAL
        raise SourceBusy(f"{path} is locked by another process ({error}).") from error
    except apsw.NotADBError as error:
        raise SourceUnavailable(
            f"{path} is not a SQLite database.", hint="Correct the source's path."
        ) from error
    except apsw.CantOpenError as error:
        raise SourceUnavailable(
            f"{path} cannot be opened ({error}).",
            hint="Check that the file exists and that this user may read and write it.",
        ) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise SourceUnavailable(
            f"{path} cannot be written ({error}).",
            hint="Capture adds triggers to the file: let this user write the file and its folder.",
        ) from error
    except apsw.SchemaChangeError as error:
        raise SchemaMoved(f"The schema of {path} changed ({error}).", hint="Try again.") from error
    except apsw.NoMemError as error:
        raise SourceUnavailable(
            f"There was not enough memory to use {path} ({error}).",
            hint="See what else uses the machine's memory, and what limits that of cdc.",
        ) from error
    except (apsw.CorruptError, apsw.IOError, apsw.FullError) as error:
        raise SourceUnavailable(
            f"{path} cannot be used ({error}).",
            hint="Check the disk, and the file with PRAGMA integrity_check.",
        ) from error
    except apsw.Error as error:
        raise SourceError(f"{path}: {error}.") from error


def look_at(path: Path) -> os.stat_result:
    """What the file system tells of the file at `path`, which may go at any moment.

    Raises SourceUnavailable unless there is one.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceUnavailable(
            f"{path} does not exist.", hint="Correct the source's path, or bring the file back."
        ) from error
    except OSError as error:
        raise SourceUnavailable(
            f"{path} cannot be reached ({error.strerror}).",
            hint="Let this user enter the folders above it, and see that its disk answers.",
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceUnavailable(f"{path} is not a file.", hint="Correct the source's path.")
    return status


def is_there(path: Path) -> bool:
    """Whether there is a file at `path`, which may have gone by the time that it is opened."""
    try:
        look_at(path)
    except SourceUnavailable:
        return False
    return True


def _identity(path: Path) -> tuple[int, int]:
    status = look_at(path)
    return status.st_dev, status.st_ino


class SourceFile:
    """One open SQLite file. For one thread at a time. `identity` tells it from another one that may
    come to lie at its path.

    With `only_look` nothing can be written to it, and nothing stays beside it that was not there.
    With `without_triggers` what is written fires none, neither the application's nor ours, and no
    foreign key acts: for rows that come from the other side, where all of that has happened. With
    `durable` a COMMIT is on the disk when it returns, the end of its journal included.
    """

    def __init__(
        self,
        path: Path,
        *,
        only_look: bool = False,
        without_triggers: bool = False,
        durable: bool = False,
    ) -> None:
        self.path = path
        self.identity = _identity(path)
        self._only_look = only_look
        self._without_triggers = without_triggers
        self._durable = durable
        self._patient_until = 0.0
        self._begun_at = 0.0
        self._told: dict[object, object] | None = None
        with translated(path):
            # Never CREATE: a missing file must stay missing, not become an empty database.
            # NOMUTEX: SQLite would lock and unlock the connection for every value that is fetched,
            # a quarter of the time of a read, and one thread at a time uses it anyway.
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOMUTEX
            self._connection = apsw.Connection(str(path), flags=flags)
            try:
                self._configure()
                if self.replaced:  # or the one that is open would pass for the other
                    raise SourceUnavailable(
                        f"{path} was replaced while it was opened.", hint="Try again."
                    )
            except BaseException:
                self._connection.close()
                raise

    def _configure(self) -> None:
        connection = self._connection
        connection.set_busy_handler(self._wait_to_read)
        # Neither closing nor committing may make us checkpoint the legacy system's WAL. Where there
        # is none, the one that our reading makes is to go again, as closing alone would see to.
        has_wal = self.path.with_name(f"{self.path.name}-wal").exists()
        connection.config(
            apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_wal or not self._only_look)
        )
        connection.wal_autocheckpoint(0)
        if self._only_look:
            connection.execute("PRAGMA query_only = ON")
        if self._without_triggers:
            # Not by the pragmas, which say nothing inside a transaction. Without the second,
            # foreign keys would still act, and no trigger would tell of it.
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
        if self._durable:
            connection.execute("PRAGMA synchronous = EXTRA")
        # The first statement that reads is the one that finds out whether this is a database.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        if connection.readonly("main") and not self._only_look:
            raise apsw.ReadOnlyError("the file is read-only for this user")

    def close(self) -> None:
        """Close; harmless when closed already."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def replaced(self) -> bool:
        """Whether the path now names another file than the one that is open, or none."""
        try:
            return _identity(self.path) != self.identity
        except SourceUnavailable:
            return True

    @property
    def data_version(self) -> int:
        """A number that changes when another connection has committed; costs nearly nothing."""
        with translated(self.path):
            return int(self._connection.pragma("data_version"))

    @property
    def schema_version(self) -> int:
        """SQLite's schema cookie; meaningful for a set of reads only within one transaction."""
        return int(self._connection.pragma("schema_version"))

    @property
    def size(self) -> int:
        """The bytes of all pages, with those that lie in a WAL; for use within a transaction."""
        return int(self._connection.pragma("page_count") * self._connection.pragma("page_size"))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this connection is open."""
        return bool(self._connection.in_transaction)

    def query(self, sql: str, bindings: tuple[Any, ...] = ()) -> apsw.Cursor:
        """Run a statement; within `reading()` or `write()` for anything that must agree.

        There the errors are APSW's own, until they leave it; outside they are ours at once.
        """
        if self._connection.in_transaction:
            return self._connection.execute(sql, bindings)
        with translated(self.path):
            return self._connection.execute(sql, bindings)

    def collation(self, table: str, column: str) -> str:
        """The collation that a column declares, BINARY where it declares none; in capitals."""
        return self._connection.column_metadata("main", table, column)[1].upper()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One read transaction: all that is read within is of one moment."""
        with translated(self.path):
            self._connection.execute("BEGIN")
            self._begun_at = time.monotonic()
            try:
                yield
            finally:
                if self._connection.in_transaction:  # some errors have ended it already
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within a transaction, while nothing changes the schema: then it is asked only `once`."""
        outer = self._told
        self._told = {} if outer is None else outer
        try:
            yield
        finally:
            self._told = outer

    def once(self, ask: Callable[["SourceFile"], T]) -> T:
        """What `ask` tells of the schema; asked for each time, but for within `at_rest()`."""
        if self._told is None:
            return ask(self)
        if ask not in self._told:
            self._told[ask] = ask(self)
        return cast(T, self._told[ask])

    def breathe(self) -> None:
        """Within `reading()`, between two looks at the schema: let writers in where the lock was
        held for BREATH_SECONDS. Raises SchemaMoved where they have changed the schema; of all else
        that was read before, what follows may be of a later moment.
        """
        if time.monotonic() - self._begun_at < BREATH_SECONDS:
            return
        version = self.schema_version
        self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN")
        if self.schema_version != version:
            raise SchemaMoved(f"The schema of {self.path} changed.")
        self._begun_at = time.monotonic()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What meets another's lock inside raises SourceBusy without waiting for it."""
        self._connection.set_busy_handler(None)
        try:
            with translated(self.path):
                yield
        finally:
            self._connection.set_busy_handler(self._wait_to_read)

    def flush(self) -> None:
        """Write what the open transaction has changed into the file, before its COMMIT.

        In rollback-journal mode that takes the last lock, which no reader passes.
        """
        self._connection.cache_flush()

    def write(self, work: Callable[[], T], *, wait: Wait = time.sleep) -> T:
        """Run `work` in one write transaction, again from its start while the file is busy.

        Raises SourceBusy when the legacy system left no gap for WRITE_PATIENCE_SECONDS, or when the
        wait for one was called off.
        """
        give_up = time.monotonic() + WRITE_PATIENCE_SECONDS
        while True:
            try:
                return self._write_once(work)
            except SourceBusy:
                pause = random.uniform(0.5, 1.5) * WRITE_PAUSE_SECONDS  # noqa: S311  (no secret)
                if time.monotonic() > give_up or wait(pause):
                    raise

    def _wait_to_read(self, attempts: int) -> bool:
        """SQLite's busy handler: whether to try once more, after a moment."""
        if attempts == 0:
            self._patient_until = time.monotonic() + READ_PATIENCE_SECONDS
        time.sleep(READ_POLL_SECONDS)
        # A process that gets no turn for so long has not looked as often as it should have.
        return time.monotonic() < self._patient_until or attempts < READ_LOOKS

    def _write_once(self, work: Callable[[], T]) -> T:
        connection = self._connection
        with self.at_once():
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result
