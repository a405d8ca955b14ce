"""One moment of the database that several sessions share, so that all they read is of it."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

CANCEL_SECONDS: Final = 5.0

_TABLES: Final = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
ORDER BY 1, 2
"""

_GRANTEES: Final = """
SELECT DISTINCT r.rolname FROM (
    SELECT relacl FROM pg_class UNION ALL SELECT nspacl FROM pg_namespace
    UNION ALL SELECT proacl FROM pg_proc UNION ALL SELECT attacl FROM pg_attribute
    UNION ALL SELECT defaclacl FROM pg_default_acl
) AS given (acl), aclexplode(given.acl) AS entry
JOIN pg_roles r ON r.oid = entry.grantee
WHERE r.rolname <> 'pg_database_owner' AND r.rolname NOT LIKE 'pg\\_%' ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds: how many rows, and a number that the rows give, in whatever order."""

    rows: int
    digest: str


@contextmanager
def exported(conn: Connection) -> Iterator[str]:
    """A read-only transaction of one moment; its name is what other sessions import it by.

    For use with a connection of its own: it is idle in the transaction for as long as others need.
    """
    with translated("hold one moment of the database"), conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        row = conn.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield str(row[0])


def contents(conn: Connection) -> dict[str, Content]:
    """What every table of the database holds, by its quoted name; reads every row on the server."""
    with translated("read every table"):
        found = {}
        for schema, table in conn.execute(_TABLES).fetchall():
            name = sql.Identifier(schema, table)
            query = sql.SQL(
                "SELECT count(*), coalesce(sum(digest), 0)::text FROM (SELECT"
                " hashtextextended(ROW(_cdc_t.*)::text, 0)::numeric AS digest"
                " FROM ONLY {} AS _cdc_t) AS rows"
            ).format(name)
            row = conn.execute(query).fetchone()
            assert row is not None
            found[name.as_string(conn)] = Content(*row)
    return found


def grantees(conn: Connection) -> list[str]:
    """The roles to which something in the database was granted."""
    with translated("read who was granted what"):
        return [str(name) for (name,) in conn.execute(_GRANTEES)]


def table_bytes(conn: Connection) -> int:
    """How much all tables take on the server's disk, without their indexes."""
    with translated("measure the database"):
        row = conn.execute(
            "SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class"
            " WHERE relkind IN ('r', 'm')"
        ).fetchone()
    return int(row[0]) if row else 0


def cut_short(conn: Connection) -> None:
    """End what the server does for this connection; from another thread."""
    with contextlib.suppress(psycopg.Error):  # it has ended by itself
        conn.cancel_safe(timeout=CANCEL_SECONDS)
