"""A TCP proxy in front of PostgreSQL that loses connections at chosen moments.

It reads the frame of every message both ways, so it knows a COMMIT even where that is a prepared
statement in the middle of a pipeline.
"""

import contextlib
import enum
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from psycopg.conninfo import conninfo_to_dict, make_conninfo

COMMIT = b"COMMIT"


class Cut(enum.Enum):
    """When the proxy cuts the connection of the next COMMIT."""

    BEFORE = "COMMIT never reaches the server"
    RACE = "the server gets COMMIT, and whether it answers in time is open"
    ANSWER = "the server has committed, and its answer never reaches the client"


class Proxy:
    """Listens on a port of its own; all bytes pass, until it is told otherwise."""

    def __init__(self, dsn: str) -> None:
        self._upstream = conninfo_to_dict(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = make_conninfo(
            dsn,
            host="127.0.0.1",
            port=self._listener.getsockname()[1],
            sslmode="disable",
            gssencmode="disable",
        )
        self.cuts = 0
        self._armed: Cut | None = None
        self._stalled = False
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def arm(self, cut: Cut) -> None:
        """Cut the connection that commits next."""
        with self._lock:
            self._armed = cut

    def take(self, *cuts: Cut) -> Cut | None:
        """Whether one of these is armed; then it is used up."""
        with self._lock:
            if self._armed not in cuts:
                return None
            taken, self._armed = self._armed, None
            self.cuts += 1
            return taken

    def stall(self) -> None:
        """From now on nothing passes any more, although the connections stay open."""
        self._stalled = True

    @property
    def stalled(self) -> bool:
        return self._stalled

    def cut_all(self) -> None:
        """Cut every connection, wherever it stands."""
        for link in list(self._links):
            link.cut()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._stalled = False
        with contextlib.suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)  # or the thread in accept() would go on
        self._thread.join()
        self._listener.close()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    server = self._connect()
                except OSError:
                    client.close()
                    continue
                self._links.append(_Link(self, client, server))

    def _connect(self) -> socket.socket:
        host, port = str(self._upstream["host"]), int(self._upstream.get("port") or 5432)
        if not host.startswith("/"):
            server = socket.create_connection((host, port))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return server
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            server.close()
            raise
        return server


class _Link:
    """One connection, with a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._statements: dict[bytes, bytes] = {}
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._forward, self._backward)
        ]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut it, and let go of all that it has."""
        self.cut()
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _guarded(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, EOFError):
            work()
        self.cut()

    def _forward(self) -> None:
        messages = _Messages(self._client)
        self._server.sendall(messages.first())
        for kind, body, raw in messages:
            if self._commits(kind, body):
                if self._proxy.take(Cut.BEFORE):
                    return
                if self._proxy.take(Cut.RACE):
                    self._server.sendall(raw + messages.pending())
                    threading.Event().wait(random.random() * 0.002)
                    return
            self._pass(self._server, raw)

    def _backward(self) -> None:
        for kind, body, raw in _Messages(self._server):
            if kind == b"C" and body == COMMIT + b"\0" and self._proxy.take(Cut.ANSWER):
                return
            self._pass(self._client, raw)

    def _pass(self, to: socket.socket, raw: bytes) -> None:
        while self._proxy.stalled:
            threading.Event().wait(0.05)
        to.sendall(raw)

    def _commits(self, kind: bytes, body: bytes) -> bool:
        """Whether a message of the client brings about a COMMIT."""
        match kind:
            case b"Q":
                return body.rstrip(b"\0;").upper() == COMMIT
            case b"P":  # Parse: name, query
                name, query, _ = body.split(b"\0", 2)
                self._statements[name] = query
            case b"B":  # Bind: portal, name of the statement
                _, name, _ = body.split(b"\0", 2)
                return self._statements.get(name, b"").upper() == COMMIT
        return False


class _Messages:
    """The messages of one direction: kind, body, and all as it came."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._buffer = b""

    def first(self) -> bytes:
        """The message that opens a connection, which has no kind."""
        (length,) = struct.unpack("!I", self._need(4))
        return self._take(length)

    def __iter__(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        while True:
            head = self._need(5)
            raw = self._take(struct.unpack("!I", head[1:5])[0] + 1)
            yield raw[:1], raw[5:], raw

    def pending(self) -> bytes:
        """What came behind the last message."""
        taken, self._buffer = self._buffer, b""
        return taken

    def _need(self, size: int) -> bytes:
        while len(self._buffer) < size:
            more = self._source.recv(65536)
            if not more:
                raise EOFError
            self._buffer += more
        return self._buffer[:size]

    def _take(self, size: int) -> bytes:
        taken = self._need(size)
        self._buffer = self._buffer[size:]
        return taken
