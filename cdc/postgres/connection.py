"""Connections to PostgreSQL: the one place that opens them, and a bounded pool of them."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg.pq import TransactionStatus

from cdc.errors import TargetRefused, TargetUnavailable
from cdc.postgres import dsn as dsn_
from cdc.postgres.translate import translate_login, translated
from cdc.postgres.wire import PackedArray, PackedArrayDumper

Connection = psycopg.Connection[tuple[Any, ...]]

APPLICATION_NAME: Final = "cdc"
MINIMUM_VERSION: Final = 15
MAX_CONNECTIONS: Final = 5
CONNECT_TIMEOUT_SECONDS: Final = 5
LEASE_TIMEOUT_SECONDS: Final = 60.0
BREAK_AGAIN_SECONDS: Final = 1.0
LOCK_TIMEOUT_SECONDS: Final = 30
"""How long a statement waits for somebody else's lock before it counts as unavailable."""

PREPARED_STATEMENTS: Final = 500
"""Kept per connection; a table needs two."""

# A server that vanished (power, cable) is noticed after about 20 s: unanswered data after
# tcp_user_timeout, an idle connection after idle + count * interval.
_LIBPQ: Final[dict[str, str]] = {
    "application_name": APPLICATION_NAME,
    "connect_timeout": str(CONNECT_TIMEOUT_SECONDS),
    "keepalives": "1",
    "keepalives_idle": "8",
    "keepalives_interval": "4",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

# Settings that a role or a database may have otherwise, and on which exactness rests, or speed.
_SETTINGS: Final[dict[str, str]] = {
    "search_path": "pg_catalog, pg_temp",  # no function of somebody else's is called by mistake
    "default_transaction_isolation": "read committed",  # cdc.enter() rests on it
    "extra_float_digits": "1",  # a double as text reads back as itself
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",  # the names of types are compared as text
    "statement_timeout": "0",  # a large COPY may take its time
    # A session waits while SQLite is read, and the one with a proof's lock to the proof's end.
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "jit": "off",  # a proof asks the same again for each range, and each would be compiled anew
}


@contextlib.contextmanager
def hurried(conn: Connection, milliseconds: int) -> Iterator[None]:
    """Let no statement inside wait for a lock any longer than that."""
    with translated("bound the wait for locks"):
        conn.execute(f"SET lock_timeout = {milliseconds}".encode())
    try:
        yield
    finally:
        if not conn.closed:
            with translated("set the wait for locks back"):
                conn.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'".encode())


SEND_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Asked of a Unix socket; the system may grant less."""


class Target:
    """A bounded pool of connections to one PostgreSQL database, for any number of threads.

    A connection is opened in the thread that asks for it, so that the true cause of a failure
    reaches that caller at once. This is why psycopg_pool is not used: it connects in the
    background, hides the cause behind PoolTimeout and backs off for up to minutes.

    `replica_role` says, once a connection was opened, whether sessions run with
    `session_replication_role = replica` (None: not known yet).
    """

    def __init__(
        self,
        dsn: str,
        *,
        max_connections: int = MAX_CONNECTIONS,
        connect_timeout_seconds: int = CONNECT_TIMEOUT_SECONDS,
        lease_timeout_seconds: float = LEASE_TIMEOUT_SECONDS,
    ) -> None:
        """Check the form of `dsn` (ConfigError); nothing is opened yet."""
        timeout = {"connect_timeout": str(connect_timeout_seconds)}
        # What the operator put into the DSN wins, except for the encoding.
        self._parameters = _LIBPQ | timeout | dsn_.parse(dsn) | {"client_encoding": "UTF8"}
        self.description = dsn_.describe(dsn)
        self.replica_role: bool | None = None
        self._max_connections = max_connections
        self._lease_timeout_seconds = lease_timeout_seconds
        self._slots = threading.BoundedSemaphore(max_connections)
        self._beside = threading.BoundedSemaphore(max(1, max_connections // 2))
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._leased: set[Connection] = set()
        self._closed = False

    @property
    def many(self) -> bool:
        """Whether there may be more than one connection."""
        return self._max_connections > 1

    @contextmanager
    def lease(self) -> Iterator[Connection]:
        """A connection in autocommit mode, for the length of the block.

        Raises TargetUnavailable (no answer, or no free slot in time) or TargetRefused. A connection
        that comes back broken or inside a transaction is closed. One that died while idle may fail
        at its first statement, with TargetUnavailable like any loss.
        """
        if not self._slots.acquire(timeout=self._lease_timeout_seconds):
            raise TargetUnavailable(
                f"all {self._max_connections} connections to {self.description} were in use for "
                f"{self._lease_timeout_seconds:g} s"
            )
        try:
            conn = self._take_idle() or self._connect()
            try:
                yield conn
            finally:
                self._give_back(conn)
        finally:
            self._slots.release()

    @contextmanager
    def lease_beside(self) -> Iterator[Connection]:
        """A connection for long work beside other work, which at least half of all are left to."""
        with self._beside, self.lease() as conn:
            yield conn

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let nobody wait any longer than that, in any thread, for an answer in this block.

        When the time is up, what is leased is broken: whoever waits gets TargetUnavailable. It is
        for a server that hangs with its connections open, which no timeout of TCP notices.
        """
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(over, seconds), daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()

    def close(self) -> None:
        """Close what is idle now, and what is leased when it comes back. May be repeated."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for conn in idle:
            conn.close()

    def abandon(self) -> None:
        """Close, and break what is leased: whoever waits for an answer gets TargetUnavailable.

        For the end of a process beside a server that hangs; from any thread. May be repeated.
        """
        self.close()
        self._break_leased()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _watch(self, over: threading.Event, seconds: float) -> None:
        while not over.wait(seconds):
            self._break_leased()
            seconds = BREAK_AGAIN_SECONDS

    def _break_leased(self) -> None:
        with self._lock:
            for conn in self._leased:
                _break(conn)

    def _take_idle(self) -> Connection | None:
        while True:
            with self._lock:
                if self._closed:
                    raise TargetUnavailable(f"the connections to {self.description} were closed")
                if not self._idle:
                    return None
                conn = self._idle.pop()
                self._leased.add(conn)
            if _is_alive(conn):
                return conn
            self._discard(conn)

    def _give_back(self, conn: Connection) -> None:
        healthy = not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            self._leased.discard(conn)
            if healthy and not self._closed:
                self._idle.append(conn)
                return
            # When one is lost, the server is likely gone and the idle ones with it.
            dubious, self._idle = ([], self._idle) if healthy else (self._idle, [])
        for each in (conn, *dubious):
            each.close()

    def _connect(self) -> Connection:
        try:
            conn: Connection = psycopg.connect(autocommit=True, **self._parameters)  # type: ignore[arg-type]  # libpq's names, all strings
        except psycopg.Error as exc:
            raise translate_login(exc, self.description) from exc
        with self._lock:
            # What was abandoned while we connected is broken here, and fails at its first use.
            self._leased.add(conn)
            if self._closed:
                _break(conn)
        try:
            self._set_up(conn)
        except BaseException:
            self._discard(conn)
            raise
        return conn

    def _discard(self, conn: Connection) -> None:
        with self._lock:
            self._leased.discard(conn)
        conn.close()

    def _set_up(self, conn: Connection) -> None:
        self._refuse_unsuitable(conn)
        _widen(conn)
        conn.prepared_max = PREPARED_STATEMENTS
        conn.adapters.register_dumper(PackedArray, PackedArrayDumper)
        settings = dict(_SETTINGS)
        if conn.info.server_version >= 170000:
            settings["transaction_timeout"] = "0"
        calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        pairs = [word for pair in settings.items() for word in pair]
        with translated(f"set up the session on {self.description}"):
            conn.execute(f"SELECT {calls}".encode(), pairs)
            row = conn.execute(
                "SELECT set_config('session_replication_role', 'replica', false) "
                "WHERE has_parameter_privilege('session_replication_role', 'SET')"
            ).fetchone()
        self.replica_role = row is not None

    def _refuse_unsuitable(self, conn: Connection) -> None:
        if conn.info.server_version < MINIMUM_VERSION * 10000:
            raise TargetRefused(
                f"{self.description} is PostgreSQL {conn.info.server_version // 10000}",
                hint=f"cdc needs PostgreSQL {MINIMUM_VERSION} or later",
            )
        encoding = conn.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            # Elsewhere not every text has a form, and the "C" order of text is not SQLite's.
            raise TargetRefused(
                f"{self.description} has the encoding {encoding}",
                hint="cdc needs a database created with ENCODING 'UTF8' (TEMPLATE template0)",
            )


def _widen(conn: Connection) -> None:
    """Let much of a COPY wait in the kernel, where the connection is a Unix socket.

    Such a socket reports that it is writable only when it is nearly empty, and each report takes
    the interpreter away from the thread that reads ahead. The buffers of TCP grow by themselves,
    unless they are set.
    """
    own = socket.socket(fileno=conn.fileno())
    try:
        if own.family == socket.AF_UNIX:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    finally:
        own.detach()  # closing is psycopg's business


def _is_alive(conn: Connection) -> bool:
    """Whether nothing waits to be read; costs no round trip.

    On an idle connection that is a farewell of the server, or a notice, for which a new connection
    is a small price.
    """
    poll = select.poll()
    poll.register(conn.pgconn.socket, select.POLLIN)
    return not poll.poll(0)


def _break(conn: Connection) -> None:
    """End a connection under the hands of the thread that uses it, and wake that thread."""
    with contextlib.suppress(psycopg.Error, OSError):  # it has ended by itself
        end = socket.socket(fileno=conn.fileno())
        try:
            end.shutdown(socket.SHUT_RDWR)
        finally:
            end.detach()  # closing is psycopg's business
