"""A copy that waits where a test wants it, however fast the machine is."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support.command import RunningDaemon
from tests.support.sites import Site

HOLD = """
CREATE FUNCTION public.wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NEW;
END $$;
CREATE FUNCTION public.hold_copy() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands()
               WHERE object_identity = 'cdc.captured_table') THEN
        CREATE TRIGGER hold BEFORE UPDATE ON cdc.captured_table FOR EACH ROW
            WHEN (NEW.copied_rows > 5000) EXECUTE FUNCTION public.wait_for_test();
        ALTER TABLE cdc.captured_table ENABLE ALWAYS TRIGGER hold;
    END IF;
END $$;
CREATE EVENT TRIGGER hold_copy ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION public.hold_copy();
ALTER EVENT TRIGGER hold_copy ENABLE ALWAYS;
"""
"""ALWAYS: they fire under session_replication_role = replica as well."""

WAITING = """
SELECT 1 FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def held_copy(site: Site) -> Iterator[RunningDaemon]:
    """Start the daemon; where a chunk takes a table past its first 5,000 rows, it waits until the
    block ends.
    """
    site.postgres(HOLD)
    with psycopg.connect(site.dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(1)")
        daemon = site.start()
        daemon.wait_until(lambda: conn.execute(WAITING).fetchone())
        yield daemon
