"""The server goes away in the middle: nothing is half done, repeated or skipped."""

import random
import socket
import threading
from contextlib import contextmanager, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.errors import PositionMoved, TargetUnavailable
from cdc.mapping.types import BIGINT, TEXT
from cdc.postgres import state
from cdc.postgres.apply import Advance, Applier, Chunk, TableChanges
from cdc.postgres.connection import Target

MAX_STEPS = 40


class Killer:
    """Ends the backend of a connection just before the n-th thing that is sent to it."""

    def __init__(self, monkeypatch, dsn):
        self.before = None
        self.steps = 0
        self._dsn = dsn
        for owner, name in (
            (psycopg.Cursor, "execute"),
            (psycopg.Copy, "write_row"),
            (psycopg.Pipeline, "__exit__"),
        ):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def aim(self, conn, before):
        self.steps = 0
        self.before = before
        self.pid = conn.info.backend_pid

    def _wrapped(self, original):
        def call(*args, **kwargs):
            if self.before is not None:
                self.steps += 1
                if self.steps == self.before:
                    self.before = None
                    with psycopg.connect(self._dsn, autocommit=True) as admin:
                        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [self.pid])
            return original(*args, **kwargs)

        return call


@pytest.fixture
def killer(monkeypatch, dsn):
    return Killer(monkeypatch, dsn)


def _step(position):
    return Advance("legacy", position, position + 1, b"d", None, boundary=True, epoch=1)


def _small(table):
    return Applier(bulk_rows=100), [(table, TableChanges([(1, "new"), (4, "new")], [(2,)]))], None


def _bulk(table):
    return Applier(bulk_rows=1), [(table, TableChanges([(1, "new"), (4, "new")], [(2,)]))], None


def _resync(table):
    rows = [(1, "new"), (3, "old"), (4, "new")]
    return Applier(), [], Chunk(table, rows, None, None, fresh=False)


def _copy(table):
    changes = [(table, TableChanges([], [(2,)]))]
    return Applier(), changes, Chunk(table, [(1, "new"), (4, "new")], (0,), None, fresh=True)


@pytest.mark.parametrize("way", [_small, _bulk, _resync, _copy])
def test_killed_before_every_step(  # noqa: PLR0917  # fixtures
    way, killer, conn, target, create, content
):
    """Wherever the backend dies, the batch is there whole or not at all, and can be repeated."""
    table = create("t", id=BIGINT, v=TEXT)
    old = [(1, "old"), (2, "old"), (3, "old")]
    new = [(1, "new"), (3, "old"), (4, "new")]
    applier, changes, chunk = way(table)
    for step in range(1, MAX_STEPS):
        _restore(conn, table, old)
        position = state.source(conn, "legacy").applied_seq
        with suppress(TargetUnavailable), target.lease() as doomed:
            killer.aim(doomed, before=step)
            applier.apply(doomed, _step(position), changes, chunk)
        unharmed = killer.before is not None
        killer.before = None
        moved = state.source(conn, "legacy").applied_seq != position
        assert content(table) == (new if moved else old)
        assert (state.captured_tables(conn)[0].state == "live") == bool(moved and chunk)
        if not moved:
            with target.lease() as again:
                applier.apply(again, _step(position), changes, chunk)
        assert content(table) == new
        assert state.source(conn, "legacy").applied_seq == position + 1
        if unharmed:
            return  # the batch has fewer steps than that
    pytest.fail("more steps than this test counts")


def _restore(conn, table, rows):
    gone = [(i,) for i in range(10)]
    position = state.source(conn, "legacy").applied_seq
    Applier().apply(conn, _step(position), [(table, TableChanges(rows, gone[4:]))])
    state.restart_copy(conn, "legacy", "t", definition={}, since_seq=0)


def test_killed_at_any_moment(conn, target, create, content, dsn):
    """Kills at random moments: each batch ends up in the target once, as a counter shows."""
    table = create("t", id=BIGINT, v=BIGINT)
    stop = threading.Event()

    def kill():
        with psycopg.connect(dsn, autocommit=True) as admin:
            while not stop.wait(random.uniform(0.002, 0.03)):
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> %s"
                    " AND application_name = 'cdc' AND datname = current_database() AND pid <> %s",
                    [admin.info.backend_pid, conn.info.backend_pid],
                )

    killing = threading.Thread(target=kill)
    killing.start()
    lost = 0
    try:
        for number in range(1, 201):
            applier = Applier(bulk_rows=100 if number % 2 else 1)
            lost += _apply_until_done(target, applier, table, number)
    finally:
        stop.set()
        killing.join()
    assert content(table) == [(number, number) for number in range(1, 201)]
    assert lost > 5


def _apply_until_done(target, applier, table, number):
    """Apply batch `number` as a daemon does; how many attempts were lost."""
    lost = 0
    while True:
        try:
            with target.lease() as conn:
                if state.source(conn, "legacy").applied_seq == number:
                    return lost
                changes = TableChanges([(number, number)], [(number + 1,)])
                applier.apply(conn, _step(number - 1), [(table, changes)])
                return lost
        except TargetUnavailable:
            lost += 1


def test_two_appliers_of_one_source(conn, target, create, content):
    """Of two that start from the same position one gets it, and the other is told."""
    table = create("t", id=BIGINT, v=TEXT)
    outcomes = []
    barrier = threading.Barrier(4)

    def work(name):
        barrier.wait()
        try:
            with target.lease() as mine:
                Applier().apply(mine, _step(0), [(table, TableChanges([(1, name)], []))])
            outcomes.append(name)
        except PositionMoved:
            pass

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert content(table) == [(1, outcomes[0])]


def test_a_commit_without_an_answer(conn, create, content, dsn):
    """The batch is in, nobody knows; the position says so, and a repetition is refused."""
    table = create("t", id=BIGINT, v=TEXT)
    changes = [(table, TableChanges([(1, "once")], []))]
    with (
        _mute_after(dsn, b"COMMIT\0") as proxied,
        Target(proxied) as target,
        pytest.raises(TargetUnavailable),
        target.lease() as mine,
    ):
        Applier().apply(mine, _step(0), changes)
    assert content(table) == [(1, "once")]
    with pytest.raises(PositionMoved):
        Applier().apply(conn, _step(0), changes)


@contextmanager
def _mute_after(dsn, word):
    """A DSN through a proxy that loses the server once the client has sent `word`."""
    known = conninfo_to_dict(dsn)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, known, word))
        thread.start()
        yield make_conninfo(
            dsn, host="127.0.0.1", port=listener.getsockname()[1], sslmode="disable"
        )
        thread.join()


def _serve(listener, known, word):
    client, _ = listener.accept()
    with client, _connect(known) as server:
        answers = threading.Thread(target=_pump, args=(server, client))
        answers.start()
        while data := client.recv(65536):
            if word in data:
                client.shutdown(socket.SHUT_RDWR)  # no answer gets through any more
                server.sendall(data)
                break
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
        answers.join()


def _pump(source, sink):
    while data := source.recv(65536):
        with suppress(OSError):
            sink.sendall(data)


def _connect(known):
    host, port = known.get("host", "localhost"), known.get("port", "5432")
    if not host.startswith("/"):
        return socket.create_connection((host, int(port)))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def test_an_interrupt_leaves_no_transaction(conn, create, content, monkeypatch):
    """Ctrl-C in the middle of a COPY rolls back; the connection is of use, or closed."""
    table = create("t", id=BIGINT)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(psycopg.Copy, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Applier(bulk_rows=1).apply(conn, _step(0), [(table, TableChanges([(1,)], []))])
    monkeypatch.undo()
    Applier(bulk_rows=1).apply(conn, _step(0), [(table, TableChanges([(2,)], []))])
    assert content(table) == [(2,)]
