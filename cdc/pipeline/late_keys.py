"""What a table gets behind the rows of its first copy: its primary key, and the queue's triggers.

To build the index once costs a third less than to keep it up row by row, and while the server is
busy with it, the next table is read and sent. The triggers look at every row, which takes a COPY of
narrow ones an eighth longer, and nobody but cdc can write to the table yet.
"""

from concurrent.futures import Future, ThreadPoolExecutor

from cdc.mapping.table import MappedTable
from cdc.postgres import queue, tables
from cdc.postgres.connection import Connection, Target


class LateKeys:
    """The keys that the target tables of one source are without. For one thread.

    `missing` names their tables in SQLite. Such a table holds nothing but the rows of chunks.
    """

    def __init__(self, source: str, target: Target, missing: set[str]) -> None:
        self._source = source
        self._target = target
        self._missing = missing
        self._builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cdc-key")
        self._building: dict[str, Future[None]] = {}

    def take_off(self, table: MappedTable) -> None:
        """Take the key off a target table, where that is empty."""
        with self._target.lease() as conn:
            if tables.drop_key(conn, table):
                queue.unfollow(conn, self._source, table)
                self._missing.add(table.source.name)

    def begin(self, table: MappedTable) -> None:
        """Begin to build a missing key, on a connection of its own, where there may be a second."""
        name = table.source.name
        if name in self._missing and name not in self._building and self._target.many:
            self._building[name] = self._builder.submit(self._build_beside, table)

    def require(self, table: MappedTable) -> None:
        """Return when the table has its key. Raises what building it raised."""
        name = table.source.name
        if name in self._missing:
            building = self._building.pop(name, None)
            if building is None:
                self._build(table)
            else:
                building.result()
            self._missing.remove(name)

    def close(self) -> None:
        """Wait for a key under way; what was not required by now the next start sees to."""
        self._builder.shutdown(wait=True, cancel_futures=True)

    def _build_beside(self, table: MappedTable) -> None:
        with self._target.lease_beside() as conn:
            self._complete(conn, table)

    def _build(self, table: MappedTable) -> None:
        with self._target.lease() as conn:
            self._complete(conn, table)

    def _complete(self, conn: Connection, table: MappedTable) -> None:
        # A start that finds the key looks after the triggers itself.
        tables.add_key(conn, table)
        queue.follow(conn, self._source, [table])
