"""The disk of the PostgreSQL server, where that can be known."""

import shutil
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from cdc.postgres.connection import Connection
from cdc.postgres.translate import translated

MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """How large the database is, and how much room the disk of the server's data has.

    `free_mb` is None where the server is on another machine, or does not tell this role where its
    data are (pg_read_all_settings); `why` says so.
    """

    database_mb: int
    free_mb: int | None
    why: str = ""


def room(conn: Connection) -> Room:
    """Look for the room that the server has."""
    with translated("ask for the size of the database"):
        row = conn.execute(
            "SELECT pg_database_size(current_database()),"
            " (SELECT setting FROM pg_settings WHERE name = 'data_directory')"
        ).fetchone()
    size, directory = row or (0, None)
    if not _is_here(conn):
        return Room(size // MB, None, "the server is on another machine")
    if directory is None:
        return Room(size // MB, None, "the role may not know where the server keeps its data")
    try:
        return Room(size // MB, shutil.disk_usage(directory).free // MB)
    except OSError:
        return Room(size // MB, None, f"{directory} is not to be seen from here")


def _is_here(conn: Connection) -> bool:
    if conn.info.host.startswith("/"):
        return True
    try:
        return ip_address(conn.info.hostaddr).is_loopback
    except ValueError:
        return False
