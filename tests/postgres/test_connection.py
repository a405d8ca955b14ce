"""The pool of connections, what a session is set to, and how failures read."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.errors import ConfigError, TargetRefused, TargetUnavailable
from cdc.postgres.connection import Target, hurried
from cdc.postgres.dsn import describe
from cdc.postgres.translate import translated

SECRET = "hunter2secret"


def test_a_connection_is_used_again(target):
    """A healthy connection goes back into the pool and comes out of it."""
    with target.lease() as conn:
        pid = conn.info.backend_pid
    with target.lease() as conn:
        assert conn.info.backend_pid == pid
        assert conn.autocommit


def test_never_more_than_the_bound(dsn):
    """With all connections leased a caller waits for one, and says so when none comes back."""
    with Target(dsn, max_connections=2, lease_timeout_seconds=0.2) as target:
        with target.lease(), target.lease():
            started = time.monotonic()
            with pytest.raises(TargetUnavailable, match="all 2 connections"), target.lease():
                pass
            assert time.monotonic() - started >= 0.2
        with target.lease() as conn:
            conn.execute("SELECT 1")


def test_long_work_leaves_connections_to_the_rest(dsn):
    """However many keys are built at once, events go on being applied."""

    def work_beside():
        with target.lease_beside():
            return True

    with (
        Target(dsn, max_connections=2, lease_timeout_seconds=5) as target,
        ThreadPoolExecutor(1) as other,
    ):
        with target.lease_beside():
            second = other.submit(work_beside)
            wait([second], timeout=0.2)
            with target.lease():
                assert not second.done()
        assert second.result()


def test_many_threads_share_the_pool(dsn):
    """Any number of threads get their turn."""
    done = []
    with Target(dsn, max_connections=3) as target:

        def work():
            with target.lease() as conn:
                done.append(conn.execute("SELECT count(*) FROM pg_stat_activity").fetchone())

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == 20


def test_an_unfinished_transaction_is_not_handed_on(target, dsn):
    """A connection that comes back inside a transaction is closed."""
    with target.lease() as conn:
        conn.execute("BEGIN")
    assert conn.closed
    with target.lease() as other:
        assert other is not conn


def test_a_lost_connection_reads_as_unavailable(target, dsn):
    """The statement at which a loss shows raises TargetUnavailable, and the next lease is good."""
    with psycopg.connect(dsn, autocommit=True) as admin, target.lease() as conn:
        admin.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        with pytest.raises(TargetUnavailable, match="could not look"), translated("look"):
            conn.execute("SELECT 1")
    with target.lease() as conn:
        conn.execute("SELECT 1")


def test_a_connection_that_is_lost_when_its_wait_is_bound(target, dsn):
    """At the begin or at the end of what is hurried: it reads as unavailable, too."""
    with psycopg.connect(dsn, autocommit=True) as admin:

        def lose(conn):
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])

        with target.lease() as conn:
            lose(conn)
            with pytest.raises(TargetUnavailable, match="bound the wait"), hurried(conn, 100):
                pass
        with (
            target.lease() as conn,
            pytest.raises(TargetUnavailable, match="set the wait"),
            hurried(conn, 100),
        ):
            lose(conn)


def test_connections_that_died_idle_are_replaced(target, dsn):
    """A restart of the server while connections were idle costs the next callers nothing."""
    with target.lease() as one, target.lease() as two:
        pids = [one.info.backend_pid, two.info.backend_pid]
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", [pids])
    with target.lease() as conn:
        conn.execute("SELECT 1")


def test_closing(dsn):
    """Closing ends idle connections now and leased ones on their return; it may be repeated."""
    target = Target(dsn)
    with target.lease() as one:
        with target.lease() as two:
            pass
        target.close()
        assert two.closed
        assert not one.closed
    assert one.closed
    target.close()
    with pytest.raises(TargetUnavailable, match="were closed"), target.lease():
        pass


def test_what_a_session_is_set_to(dsn):
    """Settings on which exactness rests hold, whatever the role and the database say."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn, autocommit=True) as admin:
        for setting in (
            "extra_float_digits = -15",
            "bytea_output = 'escape'",
            "default_transaction_isolation = 'serializable'",
            "search_path = 'elsewhere'",
            "statement_timeout = '1min'",
            "TimeZone = 'Asia/Kathmandu'",
            "DateStyle = 'German'",
            "quote_all_identifiers = on",
            "jit = on",
            "idle_session_timeout = '1min'",
            "idle_in_transaction_session_timeout = '1min'",
        ):
            admin.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    with Target(dsn) as target, target.lease() as conn:
        row = conn.execute(
            "SELECT 0.1::float8 + 0.2, '\\x00'::bytea, format_type('text'::regtype, NULL),"
            " now()::text"
        ).fetchone()
        assert row[:3] == (0.30000000000000004, b"\0", "text")
        assert row[3].endswith("+00")
        shown = {
            name: conn.execute(f"SHOW {name}".encode()).fetchone()[0]
            for name in (
                "application_name",
                "session_replication_role",
                "search_path",
                "jit",
                "statement_timeout",
                "idle_session_timeout",
                "idle_in_transaction_session_timeout",
            )
        }
    assert shown == {
        "application_name": "cdc",
        "jit": "off",
        "statement_timeout": "0",
        "idle_session_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "session_replication_role": "replica",
        "search_path": "pg_catalog, pg_temp",
    }
    assert target.replica_role is True


def test_a_vanished_server_is_noticed(dsn):
    """Keepalives and the timeout of unanswered data are set; what the DSN says goes first."""
    mine = make_conninfo(dsn, keepalives_idle=99, application_name="mine")
    with Target(mine) as target, target.lease() as conn:
        parameters = conn.info.get_parameters()
    assert parameters["tcp_user_timeout"] == "20000"
    assert parameters["keepalives_idle"] == "99"
    assert parameters["application_name"] == "mine"


def test_without_the_right_to_replica_role(dsn):
    """A plain role works too, and the target says that normal triggers and keys stay on."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS cdc_test_plain")
        admin.execute(f"CREATE ROLE cdc_test_plain LOGIN PASSWORD '{SECRET}'".encode())
    try:
        with Target(make_conninfo(dsn, user="cdc_test_plain", password=SECRET)) as target:
            with target.lease() as conn:
                role = conn.execute("SHOW session_replication_role").fetchone()
            assert (target.replica_role, role) == (False, ("origin",))
    finally:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("DROP ROLE cdc_test_plain")


def test_an_unsuitable_encoding(server_dsn):
    """A database that cannot hold all of SQLite's text is refused, with what to do."""
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS cdc_test_latin")
        admin.execute(
            "CREATE DATABASE cdc_test_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )
        try:
            latin = Target(make_conninfo(server_dsn, dbname="cdc_test_latin"))
            with pytest.raises(TargetRefused, match="encoding LATIN1") as caught, latin.lease():
                pass
            assert "UTF8" in caught.value.hint
        finally:
            admin.execute("DROP DATABASE cdc_test_latin")


@pytest.mark.parametrize(
    ("change", "error", "message", "hint"),
    [
        ({"host": "127.0.0.1", "port": "1"}, TargetUnavailable, "Connection refused", "running"),
        ({"host": "no-such-host.invalid"}, TargetUnavailable, "resolve", "no such host"),
        ({"host": "/nowhere"}, TargetUnavailable, "No such file", "running"),
        ({"dbname": "cdc_no_such"}, TargetRefused, 'database "cdc_no_such" does not', "create the"),
        ({"user": "cdc_no_such"}, TargetRefused, 'role "cdc_no_such" does not', "create the role"),
    ],
)
def test_why_there_is_no_connection(change, error, message, hint, dsn):
    """The cause reaches the caller at once, in one line, with what to do and no password."""
    target = Target(make_conninfo(dsn, password=SECRET, **change))
    with pytest.raises(error, match=message) as caught, target.lease():
        pass
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert SECRET not in _whole_story(caught.value)
    assert str(caught.value).startswith("could not connect to database")


@pytest.mark.parametrize(
    "dsn",
    [
        f"{SECRET} host=x",
        f"host=x {SECRET}=1",
        f"postgresql://user:{SECRET}@",
        f"postgresql://user:pa@{SECRET}@host/db",
        f"postgresql://user:pa/{SECRET}@host/db",
        f"postgresql://user:12/{SECRET}@host/db",
        f"postgresql://user:pa?{SECRET}@host/db",
        f"postgresql://user:pa%{SECRET}@host/db",
        f"host=x port={SECRET}",
        f"postgresql://host/db?{SECRET}",
    ],
)
def test_an_unreadable_dsn_is_not_quoted(dsn):
    """What is wrong with a connection string is said without any piece of it."""
    try:
        shown = describe(dsn)
    except ConfigError as exc:
        shown = _whole_story(exc) + exc.hint
    assert SECRET not in shown


def test_a_description_has_no_password(monkeypatch):
    """Database, server and user are named; what is left out comes from libpq's environment."""
    dsn = f"postgresql://me:{SECRET}@db.example:5433/shop?sslpassword={SECRET}"
    assert describe(dsn) == 'database "shop" at db.example:5433 as user "me"'
    monkeypatch.setenv("PGHOST", "from.env")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert describe("dbname=d user=u") == 'database "d" at from.env:5432 as user "u"'


def _whole_story(error):
    """All that a traceback would print of the messages of an error and its causes."""
    story = []
    while error is not None:
        story.append(f"{error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(story)
