"""Places where something goes wrong, and a watcher that sees what was applied twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.support
from tests.support.command import Command
from tests.support.proxy import Proxy
from tests.support.sites import Site

AUDIT = Path(tests.support.__path__[0]) / "audit.sql"

HISTORY = """
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT UNIQUE, balance REAL, version INTEGER);
INSERT INTO accounts
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
SELECT i, 'p' || i, i / 7.0, 0 FROM n;
CREATE TABLE old (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO old SELECT name, id FROM accounts;
"""
"""Accounts that take a while to copy in the chunks that a lock bound of 1 ms allows."""


class AuditedSite(Site):
    """A site whose target notes what was applied twice."""

    def begin(self) -> None:
        """Make the legacy file with its history, and set the watcher up."""
        self.sqlite(HISTORY)
        self.postgres(AUDIT.read_text(encoding="utf-8"))

    def assert_exactly_once(self) -> None:
        """Both sides are equal, the position is that of the last event, nothing came twice."""
        self.assert_equal()
        self.assert_position_exact()
        assert self.postgres("SELECT * FROM audit.twice") == []
        # The watcher has watched.
        [(rows, writes)] = self.postgres("SELECT count(*), sum(writes) FROM audit.last")
        assert rows >= 40_000
        assert writes > rows


@pytest.fixture
def audited(tmp_path: Path, secret_dsn: str, cdc: Command) -> Iterator[AuditedSite]:
    """A site on the server of all tests."""
    site = AuditedSite(tmp_path, secret_dsn, cdc)
    site.begin()
    site.configure(lock_bound_ms=1)
    yield site
    site.close()


@pytest.fixture
def private(tmp_path: Path, private_dsn: str, cdc: Command) -> Iterator[AuditedSite]:
    """A site on the server that may be stopped."""
    site = AuditedSite(tmp_path, private_dsn, cdc)
    site.begin()
    site.configure()
    yield site
    site.close()


@pytest.fixture
def proxy(audited: AuditedSite) -> Iterator[Proxy]:
    """A proxy in front of the audited site's database, through which its daemon connects."""
    made = Proxy(audited.dsn)
    audited.configure(dsn=made.dsn)
    yield made
    made.close()
