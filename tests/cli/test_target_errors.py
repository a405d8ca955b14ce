"""A PostgreSQL that cannot be used: one message that says what to do, and exit code 3."""

import socket

import pytest
from psycopg.conninfo import make_conninfo

COMMANDS = [("run",), ("lag",)]


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_such_server(shop, refused, closed_port, secret, command):
    """Where nobody listens, the question is whether it runs, and where."""
    shop.configure(dsn=f"postgresql://me:{secret}@127.0.0.1:{closed_port}/shop")
    refused(shop.cdc(*command), 3, f"127.0.0.1:{closed_port}", "refused", "is the server running")
    # Nothing was installed for a target that is not there.
    assert shop.sqlite("SELECT count(*) FROM sqlite_schema") == [(1,)]


def test_no_such_host(shop, refused, secret):
    """A name that leads nowhere is a passing error, for a network may come back."""
    shop.configure(dsn=f"postgresql://me:{secret}@no-such-host.invalid/shop")
    refused(shop.cdc("run", seconds=120), 3, "no-such-host.invalid", "no such host")


def test_environment_overrides_the_dsn(shop, refused, closed_port, secret):
    """CDC_POSTGRES_DSN goes before the file, and its password is as secret."""
    dsn = f"host=127.0.0.1 port={closed_port} user=me password='{secret}' dbname=shop"
    environment = {"CDC_POSTGRES_DSN": dsn}
    refused(shop.cdc("run", environment=environment), 3, f"127.0.0.1:{closed_port}")
    environment = {"CDC_POSTGRES_DSN": f"host=127.0.0.1 password={secret} port=x y"}
    refused(shop.cdc("run", environment=environment), 2, "PostgreSQL")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_such_database(shop, refused, command):
    """The server is there, the database is not."""
    shop.configure(dsn=make_conninfo(shop.dsn, dbname="no_such_database"))
    refused(shop.cdc(*command), 3, 'database "no_such_database" does not exist', "create the")


def test_no_such_role(shop, refused):
    """The server is there, the role is not."""
    shop.configure(dsn=make_conninfo(shop.dsn, user="no_such_role"))
    refused(shop.cdc("run"), 3, 'role "no_such_role" does not exist')


def test_wrong_password(shop, refused, private_dsn, secret):
    """A wrong password is told without showing it; a missing one as missing."""
    shop.configure(dsn=make_conninfo(private_dsn, user="locked_out"))
    refused(shop.cdc("run"), 3, "password authentication failed", "check user and password")
    shop.configure(dsn=make_conninfo(private_dsn, user="locked_out", password=""))
    refused(shop.cdc("run"), 3, "the server wants a password")


def test_role_without_rights(shop, refused, private_server, private_dsn):
    """A role that may connect but not create is told what it lacks."""
    right = make_conninfo(private_dsn, user="locked_out", password="a good password")
    shop.configure(dsn=right)
    refused(shop.cdc("run"), 3, "permission denied", "GRANT CREATE")


@pytest.mark.parametrize("kind", ["TABLE staff (id int)", "VIEW staff AS SELECT 1 AS id"])
def test_table_that_somebody_else_made(shop, refused, kind):
    """A table that is not ours is never touched."""
    shop.postgres(f"CREATE {kind}")
    refused(shop.cdc("run"), 3, "public.staff exists already", "rename or drop it")
    assert shop.postgres("SELECT count(*) FROM staff")[0][0] in (0, 1)


def test_schema_cdc_that_is_not_ours(shop, refused):
    """A schema `cdc` of somebody else is left alone."""
    shop.postgres("CREATE SCHEMA cdc CREATE TABLE notes (id int)")
    refused(shop.cdc("run"), 3, "schema cdc that is not ours")


def test_target_of_a_newer_version(shop, refused):
    """What a newer cdc has made is not guessed at."""
    shop.catch_up()
    shop.postgres("UPDATE cdc.target SET version = 99")
    for command in COMMANDS:
        refused(shop.cdc(*command), 3, "version 99")


def test_open_gate_stops_the_daemon(shop, refused):
    """Once PostgreSQL is the master, nothing flows from SQLite any more."""
    shop.catch_up()
    shop.postgres("UPDATE cdc.gate SET open = true, epoch = epoch + 1")
    shop.sqlite("INSERT INTO staff VALUES (2, 'B')")
    outcome = shop.cdc("run", "--until-caught-up")
    assert outcome.code == 3
    assert "gate is open" in outcome.err
    assert shop.postgres("SELECT count(*) FROM staff") == [(1,)]
