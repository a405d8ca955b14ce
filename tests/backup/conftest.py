"""A site whose two sides are backed up, and restored elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.backup.making import BackupMaking, Made
from cdc.backup.restore import Restore, Restored
from cdc.backup.shelf import Shelf
from cdc.postgres.connection import Target
from cdc.stop import Stop
from tests.support.sites import Site

SHOP = """
CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v REAL, w TEXT, x BLOB);
INSERT INTO t (v, w, x) VALUES (2.5, 'a', x'00'), (1e300, 'ä', NULL), (3, '', x'');
CREATE TABLE named (k TEXT PRIMARY KEY, v);
INSERT INTO named VALUES ('a', 1), ('b', 2)
"""


class Vault:
    """Backups of a site, made and restored in this process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.databases: list[str] = []

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.site.config.backup_directory)

    def make(self, stop: Stop | None = None) -> Made:
        config = self.site.config
        with Target(self.site.dsn) as target:
            return BackupMaking(
                config, self.site.dsn, target, config.sources, self.shelf, stop or Stop()
            ).run()

    def elsewhere(self) -> str:
        """The connection string of a database that is not there yet."""
        self.databases.append(f"cdc_test_restored_{uuid4().hex}")
        return make_conninfo(self.site.dsn, dbname=self.databases[-1])

    def restore(self, folder: Path, into: str = "back", dsn: str = "") -> Restored:
        return Restore(folder, self.site.folder / into, dsn or self.elsewhere(), Stop()).run()

    def restored_site(self, restored: Restored, into: str = "back") -> Site:
        """The site that the restored pair is."""
        folder = self.site.folder / into
        site = Site(folder, make_conninfo(self.site.dsn, dbname=restored.database), self.site.cdc)
        site.configure(*(path.name for path in restored.files.values()))
        return site

    def scratch_databases(self) -> list[str]:
        [(target_id,)] = self.site.postgres("SELECT replace(id, '-', '') FROM cdc.target")
        return [
            name
            for (name,) in self.site.postgres(
                "SELECT datname FROM pg_database WHERE datname LIKE %s", f"cdc\\_try\\_{target_id}"
            )
        ]

    def restored_databases(self) -> list[str]:
        """Those that came out of a restore, and those that were moved aside for one."""
        names = self.site.postgres("SELECT datname FROM pg_database ORDER BY datname")
        return [n for (n,) in names if any(n.startswith(each) for each in self.databases)]

    def drop(self) -> None:
        for name in self.restored_databases():
            self.site.postgres(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def vault(site: Site) -> Iterator[Vault]:
    """The backups of a site with one source, which has been copied."""
    site.sqlite(SHOP)
    site.configure()
    made = Vault(site)
    yield made
    made.drop()


def database_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])
