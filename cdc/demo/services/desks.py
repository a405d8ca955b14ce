"""Which desk a service works at: its environment says so."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cdc.demo.environment import POSTGRESQL, Environment
from cdc.demo.services.desk import Desk, Tally
from cdc.demo.services.sqlite_desk import DEFAULT_TIMEOUT_SECONDS, SqliteDesk


@contextmanager
def desk_of(
    directory: Path, tally: Tally, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Iterator[Desk]:
    """The desk on the side that the environment file in `directory` names now."""
    environment = Environment.read(directory)
    if environment.engine == POSTGRESQL:
        # As long as it writes to SQLite a service does without the driver.
        from cdc.demo.services.postgres_desk import PostgresDesk

        desk: Desk = PostgresDesk(tally, environment.database_url)
    else:
        desk = SqliteDesk(tally, directory, timeout_seconds=timeout_seconds)
    with closing(desk):
        yield desk
