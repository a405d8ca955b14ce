"""A PostgreSQL server for all tests, and for each a database, a folder and the command."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.postgres import embedded
from cdc.sqlite import connection
from tests.support.command import Command, command
from tests.support.server import Server
from tests.support.sites import Site

settings.register_profile("cdc", parent=settings.default, deadline=None)
settings.load_profile("cdc")  # no test may count on a quiet machine

SECRET = "swordfish-and-custard"
"""The password in every connection string; no server asks for it, and nothing may print it."""


MEMORY = Path(os.environ.get("CDC_TEST_MEMORY", "/dev/shm"))
"""Where files lie in memory, on most systems. Each test makes a database of nearly a thousand files
and drops it, which takes ten times as long on many a virtual disk, and another time each time."""

ENOUGH_BYTES = 4 * 1024**3
"""Free there: the server's log of what it writes alone may take one GiB."""

SERVER = pytest.StashKey[TemporaryDirectory]()
SERVER_VARIABLE = "_CDC_TEST_SERVER"
"""Tells the workers where the server is that they share."""


def pytest_configure(config: pytest.Config) -> None:
    """Find a place for the server, which outlives every worker."""
    if SERVER_VARIABLE not in os.environ:
        # Not below pytest's own directory: each new run of pytest closes that to all other users,
        # and under root the server is another user.
        in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
        where = MEMORY if in_memory and os.access(MEMORY, os.W_OK) else None
        config.stash[SERVER] = TemporaryDirectory(prefix="cdc-test-", dir=where)
        os.environ[SERVER_VARIABLE] = config.stash[SERVER].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what is left of the server."""
    if SERVER in config.stash:
        del os.environ[SERVER_VARIABLE]
        config.stash[SERVER].cleanup()


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: a quarter of the time these tests only wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a worker report what a test has logged, though half a surrogate pair be in it."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """A server to make databases on: that of CDC_TEST_DSN, or an embedded one for all workers."""
    if given := os.environ.get("CDC_TEST_DSN"):
        yield given
        return
    directory = Path(os.environ[SERVER_VARIABLE]) / "data"
    dsn = embedded.start(directory)
    with psycopg.connect(dsn, autocommit=True) as admin:
        # What a crash of the machine would do to these data is of no interest.
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
    yield dsn
    embedded.stop(directory)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests look at files that others write to, of which each may get no turn for a while."""
    monkeypatch.setattr(connection, "READ_PATIENCE_SECONDS", 30.0)


@pytest.fixture
def dsn(server_dsn: str) -> Iterator[str]:
    """A fresh database of the test's own."""
    name = f"cdc_test_{uuid4().hex}"
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        yield make_conninfo(server_dsn, dbname=name)
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture
def secret(server_dsn: str) -> str:
    """The password that must never be seen."""
    return str(conninfo_to_dict(server_dsn).get("password") or SECRET)


@pytest.fixture
def secret_dsn(dsn: str, secret: str) -> str:
    """The test's database, as a connection string with a password in it."""
    return make_conninfo(dsn, password=secret)


@pytest.fixture
def cdc(tmp_path: Path, secret: str) -> Iterator[Command]:
    """The command, run in the test's folder."""
    with command(tmp_path, secret) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, secret_dsn: str, cdc: Command) -> Iterator[Site]:
    """The test's folder with its database, where `cdc` runs and `shop.db` is the legacy file."""
    made = Site(tmp_path, secret_dsn, cdc)
    yield made
    made.close()


@pytest.fixture(scope="session")
def private_server() -> Iterator[Server]:
    """A server that a test may stop and start; always the embedded one."""
    if os.environ.get("CDC_TEST_DSN"):
        pytest.skip("the server of CDC_TEST_DSN is not ours to stop")
    with TemporaryDirectory(prefix="cdc-test-private-") as directory:
        server = Server(Path(directory) / "data")
        yield server
        server.close()


@pytest.fixture
def private_dsn(private_server: Server) -> Iterator[str]:
    """A fresh database on the private server, which runs before the test and after it."""
    private_server.start()
    with psycopg.connect(private_server.dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS private WITH (FORCE)")
        admin.execute("CREATE DATABASE private")
    yield make_conninfo(private_server.dsn, dbname="private", password=SECRET)
    private_server.start()
