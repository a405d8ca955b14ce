"""A copy that waits where a test wants it, however fast the machine is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.command import RunningDaemon
from tests.support.sites import Site

HOLD = Path(__file__).with_name("held_copy.sql")

WAITING = """
SELECT 1 FROM pg_locks
WHERE locktype = 'advisory' AND objid = 1 AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def held_copy(site: Site) -> Iterator[RunningDaemon]:
    """Start the daemon; where a chunk takes a table past its first 5,000 rows, it waits until the
    block ends.
    """
    site.postgres(HOLD.read_text(encoding="utf-8"))
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(1)")
        daemon = site.start()
        daemon.wait_until(lambda: conn.execute(WAITING).fetchone())
        yield daemon
