"""A database for a while, on the server of the target: made, found again after a kill, dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import conninfo, sql

from cdc.errors import TargetRefused
from cdc.postgres import advisory, state
from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


def name_for(conn: Connection, purpose: str) -> str:
    """The name of the one such database that belongs to this target; nobody else's has it."""
    known = state.identity(conn)
    if known is None:
        raise TargetRefused(
            "nothing was ever replicated to this target", hint="Start cdc run first."
        )
    return f"cdc_{purpose}_{known.id.replace('-', '')}"


@contextmanager
def alone(
    conn: Connection, purpose: str, *, patience: float = advisory.ENDING_SECONDS
) -> Iterator[None]:
    """Be the only one for the length of the block who makes or drops that of a purpose.

    Raises TargetRefused where somebody else is, for longer than `patience` seconds. It ends with
    the session, too.
    """
    key = advisory.key_of(f"cdc scratch {purpose}")
    with advisory.held(conn, key, patience=patience) as is_alone:
        if not is_alone:
            raise TargetRefused(
                f"another cdc uses the scratch database to {purpose} of this target",
                hint="wait until it has ended",
            )
        yield


def check_right(conn: Connection) -> None:
    """Raise TargetRefused where the role may not make databases."""
    with translated("look up the rights of the role"):
        row = conn.execute(
            "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    if not (row and row[0]):
        raise TargetRefused(
            "the role may not create databases",
            hint="ALTER ROLE … CREATEDB, or give another user in the connection string",
        )


def create(conn: Connection, name: str) -> None:
    """Make an empty database with the encoding and the locale of the target."""
    with translated(f"make the database {name}"):
        row = conn.execute(
            "SELECT datcollate, datctype FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        conn.execute(
            sql.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE {} LC_CTYPE {}"
            ).format(sql.Identifier(name), sql.Literal(row[0]), sql.Literal(row[1]))
        )


def drop(conn: Connection, name: str) -> bool:
    """Drop the database, whoever is connected to it; whether it was there."""
    with translated(f"drop the database {name}"):
        found = conn.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if found is not None:
            _drop(conn, name)
    return found is not None


def _drop(conn: Connection, name: str) -> None:
    plain = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        conn.execute(plain + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        # Autovacuum is in it, which only a superuser may end. A plain DROP asks it to leave.
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = current_user",
            (name,),
        )
        conn.execute(plain)


def dsn_of(dsn: str, name: str) -> str:
    """The connection string of another database of the same server."""
    return conninfo.make_conninfo(dsn, dbname=name)


def target_bytes(conn: Connection) -> int:
    """How large the target tables are, with their indexes."""
    with translated("measure the target tables"):
        row = conn.execute(
            "SELECT coalesce(sum(pg_total_relation_size("
            "to_regclass(format('%I.%I', target_schema, target_name)))), 0)"
            " FROM cdc.captured_table"
        ).fetchone()
    return int(row[0]) if row else 0


def data_directory(conn: Connection) -> Path | None:
    """Where the server keeps its data, if that is on this machine and may be known."""
    host = conn.info.host
    if host and not host.startswith("/") and host not in LOCAL_HOSTS:
        return None
    with translated("ask where the server keeps its data"):
        row = conn.execute(
            "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
        ).fetchone()
    directory = Path(row[0]) if row and row[0] else None
    return directory if directory is not None and directory.is_dir() else None
