"""A database that something is to be restored into: whether it is there, and empty; made, moved."""

from dataclasses import dataclass
from typing import Final, Literal

import psycopg
from psycopg import sql

from cdc.errors import TargetError, TargetRefused
from cdc.postgres import dsn as dsn_
from cdc.postgres import scratch
from cdc.postgres.connection import Target
from cdc.postgres.translate import translated

MAINTENANCE: Final = ("postgres", "template1")
"""Databases that there are on nearly every server, to ask from for another."""

Standing = Literal["missing", "empty", "taken"]

_TAKEN: Final = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%')
OR EXISTS (SELECT FROM pg_namespace
    WHERE nspname NOT IN ('public', 'information_schema') AND nspname NOT LIKE 'pg\\_%')
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The database of a connection string. `server_version` is the major one.

    `asked_from` is the connection string of a database of the same server that stays as it is; it
    may be the very database, where the role may connect to no other.
    """

    dsn: str
    name: str
    standing: Standing
    server_version: int
    asked_from: str


def look(dsn: str) -> Place:
    """Look at the database of a connection string, which need not be there yet.

    Raises TargetError where the server does not answer, or the role may not connect.
    """
    name = dsn_.database(dsn)
    for maintenance in MAINTENANCE:
        from_there = scratch.dsn_of(dsn, maintenance)
        try:
            with Target(from_there, max_connections=1) as target, target.lease() as conn:
                with translated("look for the database"):
                    row = conn.execute(
                        "SELECT FROM pg_database WHERE datname = %s", (name,)
                    ).fetchone()
                version = conn.info.server_version // 10_000
        except TargetRefused:
            continue  # not with this role; the database itself may let it in
        if row is None:
            return Place(dsn, name, "missing", version, from_there)
        if maintenance != name:
            return Place(dsn, name, _standing(dsn), version, from_there)
    with Target(dsn, max_connections=1) as target, target.lease() as conn:
        version = conn.info.server_version // 10_000
    return Place(dsn, name, _standing(dsn), version, dsn)


def _standing(dsn: str) -> Standing:
    with (
        Target(dsn, max_connections=1) as target,
        target.lease() as conn,
        translated("look at the database"),
    ):
        row = conn.execute(_TAKEN.encode()).fetchone()
    return "taken" if row and row[0] else "empty"


def make(place: Place) -> None:
    """Make the database."""
    with Target(place.asked_from, max_connections=1) as target, target.lease() as conn:
        scratch.create(conn, place.name)


def remove(place: Place) -> None:
    """Drop the database that `make` has made."""
    with Target(place.asked_from, max_connections=1) as target, target.lease() as conn:
        scratch.drop(conn, place.name)


def rename(place: Place, old: str, new: str) -> None:
    """Give a database of the same server another name. Raises TargetError while others use it."""
    with Target(place.asked_from, max_connections=1) as target, target.lease() as conn:
        try:
            with translated(f"rename the database {old} to {new}"):
                conn.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(old), sql.Identifier(new)
                    )
                )
        except TargetError as error:
            if isinstance(error.__cause__, psycopg.errors.ObjectInUse):
                raise TargetRefused(
                    f"the database {old} is in use",
                    hint="stop what is connected to it (see pg_stat_activity), cdc run included",
                ) from error
            raise


def missing_roles(place: Place, wanted: tuple[str, ...]) -> list[str]:
    """Which of these roles the server does not have."""
    with (
        Target(place.asked_from, max_connections=1) as target,
        target.lease() as conn,
        translated("look for roles"),
    ):
        rows = conn.execute("SELECT rolname FROM pg_roles").fetchall()
    there = {str(name) for (name,) in rows}
    return [name for name in wanted if name not in there]
