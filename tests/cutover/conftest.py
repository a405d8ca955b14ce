"""What the tests of the freeze, the hold and the way back share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from cdc.cutover import standing
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.cutover.phases import Report
from cdc.postgres.connection import CONNECT_TIMEOUT_SECONDS, Target
from cdc.sqlite import capture, introspect
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.mirrors import fill_mirrors
from tests.support.service import Service


def captured(path: Path, schema: str) -> Path:
    """Make a file of these tables, all captured."""
    db = apsw.Connection(str(path))
    db.execute(schema).fetchall()
    db.close()
    with SourceFile(path) as file:
        with file.reading():
            names = introspect.table_names(file)
        capture.install(file, names)
        fill_mirrors(file)
    return path


def run(
    site,
    kind,
    *,
    dsn: str = "",
    connect_timeout_seconds: int = CONNECT_TIMEOUT_SECONDS,
    **watching,
) -> Report:
    """A Cutover or a Rollback, without the cost of a process of its own."""
    with (
        Target(dsn or site.dsn, connect_timeout_seconds=connect_timeout_seconds) as target,
        local_journal(site.config) as journal,
    ):
        return kind(site.config, target, journal, **watching).run()


def succeed(site, kind, **watching) -> Report:
    """The same of one that comes to its end."""
    report = run(site, kind, **watching)
    assert report.outcome == {Cutover: "switched", Rollback: "rolled_back"}[kind], report
    return report


@pytest.fixture
def service() -> Iterator[Callable[..., Service]]:
    """`service(path, timeout=5.0)`: a service of the legacy system, which ends with the test."""
    running: list[Service] = []

    def start(path: Path, *, timeout: float = 5.0) -> Service:
        running.append(Service(path, timeout=timeout))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate of the lag looks several times, which here would only take time."""
    monkeypatch.setattr(standing, "LAG_PAUSE_SECONDS", 0.01)
