"""PostgreSQL for the benches: one server for a whole run, and a fresh database for each need."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from cdc.postgres import embedded

SETTINGS = """
# The lag is read from the times that the server keeps of its commits.
track_commit_timestamp = on
"""


@contextmanager
def server() -> Iterator[str]:
    """The DSN of the server: CDC_TEST_DSN, or an embedded one with the settings of the product."""
    if given := os.environ.get("CDC_TEST_DSN"):
        yield given
        return
    with TemporaryDirectory(prefix="cdc-bench-pg-", ignore_cleanup_errors=True) as directory:
        data = Path(directory) / "data"
        embedded.start(data)
        embedded.stop(data)
        with (data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(SETTINGS)
        try:
            yield embedded.start(data)
        finally:
            embedded.stop(data)


@contextmanager
def database(server_dsn: str, *, template: str | None = None) -> Iterator[str]:
    """The DSN of a database for the length of the block; a copy of that of the DSN `template`."""
    name = f"cdc_bench_{uuid4().hex}"
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        source = psycopg.conninfo.conninfo_to_dict(template)["dbname"] if template else "template1"
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
        # Nobody's old dirt should be written out in the time of the next measurement.
        admin.execute("CHECKPOINT")
        try:
            yield make_conninfo(server_dsn, dbname=name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
