"""A PostgreSQL server that a test may stop, start and reconfigure, apart from that of all tests."""

from pathlib import Path

import psycopg

from cdc.postgres import embedded

HBA = """\
local all locked_out scram-sha-256
local all all trust
"""
"""The role `locked_out` needs its password; everybody else comes in without."""


class Server:
    """An embedded server of its own, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.dsn = embedded.start(directory)
        (directory / "pg_hba.conf").write_text(HBA, encoding="utf-8")
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            admin.execute("CREATE ROLE locked_out LOGIN PASSWORD 'a good password'")
            admin.execute("SELECT pg_reload_conf()")

    def stop(self, mode: str) -> None:
        """Stop it as `pg_ctl stop -m` does: smart, fast, or immediate, which is a crash."""
        embedded._pg_ctl(self._server, self._directory, "stop", 60, "-m", mode)

    def start(self) -> None:
        """Start it again, or leave it running."""
        embedded._ensure_running(self._server, self._directory)

    def close(self) -> None:
        embedded.stop(self._directory)

    @property
    def _server(self):
        return embedded._used[self._directory][0]
