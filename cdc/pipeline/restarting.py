"""Beginning a source's event store anew."""

import time
from pathlib import Path

from cdc.archive.chain import set_aside
from cdc.config import Config, SourceConfig
from cdc.postgres import archived, state
from cdc.postgres.connection import Target
from cdc.sqlite.connection import look_at
from cdc.sqlite.lock import SourceLock


def restart(config: Config, source: SourceConfig, target: Target) -> Path | None:
    """Set a source's segments aside and forget about them; where they are now, None without any.

    Raises SourceHeld while a daemon runs.
    """
    look_at(source.path)
    lock = SourceLock.acquire(source.path, command="cdc archive restart", target=target.description)
    try:
        with target.lease() as conn:
            state.install(conn)
            # In this order: a kill between the two leaves segments that nobody remembers, which
            # a second try sets aside.
            archived.forget_ends(conn, source.name)
        name = f"{source.name}.set-aside-{int(time.time())}"
        return set_aside(config.archive_directory, source.name, name)
    finally:
        lock.release()
