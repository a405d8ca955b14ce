"""A site whose tables have every shape, copied once for a module."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.command import command
from tests.support.sites import Site

SHAPES = (Path(__file__).parent / "shapes.sql").read_text(encoding="utf-8")

MAPPING = """
[sources.tables.mapped.columns.price]
type = "numeric(10,4)"
on_misfit = "round"
[sources.tables.mapped.columns.name]
type = "varchar(40)"
[sources.tables.mapped.columns.day]
type = "date"
[sources.tables.mapped.columns.clock]
type = "time"
[sources.tables.mapped.columns.moment]
type = "timestamptz"
timezone = "America/New_York"
ambiguous = "later"
missing = "forward"
[sources.tables.mapped.columns.epoch]
type = "timestamptz"
epoch = "ms"
[sources.tables.mapped.columns.flag]
type = "boolean"
true = ["yes"]
false = ["no"]
[sources.tables.mapped.columns.document]
type = "jsonb"
[sources.tables.mapped.columns.small]
type = "real"
on_misfit = "round"
[sources.tables.mapped.columns.tag]
type = "uuid"
[sources.tables.mapped.columns.cut]
type = "varchar(12)"
on_misfit = "truncate"
[sources.tables.mapped.columns.nulled]
type = "date"
on_misfit = "null"
"""


@pytest.fixture(scope="module")
def module_site(server_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A folder and a database for all tests of a module, which leave them as they found them."""
    folder, name = tmp_path_factory.mktemp("proof"), f"cdc_proof_{uuid4().hex}"
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        try:
            with command(folder, "no secret") as cdc:
                site = Site(folder, make_conninfo(server_dsn, dbname=name), cdc)
                yield site
                site.close()
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def shapes(module_site: Site) -> Site:
    """All shapes, copied to PostgreSQL and at rest."""
    module_site.sqlite(SHAPES)
    module_site.configure(more=MAPPING)
    module_site.catch_up()
    return module_site
