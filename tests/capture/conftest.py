"""The legacy application, a stage for random workloads, and a file for tests with a story."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cdc.event import OP, VALUES, Event
from cdc.sqlite import capture, introspect
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.mirrors import fill_mirrors
from cdc.sqlite.rows import Bound
from cdc.sqlite.verification import Finding, verify

from .legacy import Legacy, Outcome, Rows
from .oracle import Stage
from .shapes import Names, Shape, quoted

NUMBERED = {
    "int": "{0}",
    "number": "{0} + 0.5",
    "text": "'t' || {0}",
    "any": "{0}",
    "document": """'{{"id": ' || {0} || '}}'""",
}
"""For each domain an expression that gives another value for each number."""

EVERYTHING = Bound(seconds=60.0, rows=10**9)


@pytest.fixture(scope="session")
def legacy() -> Iterator[Legacy]:
    application = Legacy()
    yield application
    application.end()


@pytest.fixture
def stage(tmp_path: Path, legacy: Legacy) -> Stage:
    return Stage(tmp_path, legacy)


class Story:
    """One file, written by the application and captured by us."""

    def __init__(self, path: Path, legacy: Legacy) -> None:
        self.path = path
        self._legacy = legacy

    def tries(self, *statements: str) -> list[Outcome]:
        """The application runs these statements; some may fail."""
        return self._legacy.run(self.path, statements)

    def runs(self, *statements: str) -> Rows:
        """The application runs these statements; gives the rows of the last."""
        outcomes = self.tries(*statements)
        errors = [(s, o.error) for s, o in zip(statements, outcomes, strict=True) if o.error]
        assert not errors
        return outcomes[-1].rows

    def instructions(self, statement: str) -> int:
        return self._legacy.instructions(self.path, statement)

    @contextmanager
    def opened(self) -> Iterator[SourceFile]:
        with SourceFile(self.path) as file:
            yield file

    def tables(self) -> list[str]:
        with self.opened() as file:
            return introspect.table_names(file)

    def install(self, *tables: str) -> dict[str, Finding]:
        """Capture these tables, or all."""
        wanted = list(tables) or self.tables()
        with self.opened() as file:
            found = capture.install(file, wanted)
            fill_mirrors(file, wait=lambda _: None)
        return found

    def uninstall(self, *tables: str) -> list[str]:
        with self.opened() as file:
            return capture.uninstall(file, list(tables) or None, wait=lambda _: None)

    def findings(self, *tables: str) -> dict[str, Finding]:
        wanted = list(tables) or self.tables()
        with self.opened() as file, file.reading():
            return verify(file, wanted)

    def events(self) -> list[Event]:
        with self.opened() as file, file.reading():
            return Changelog(file).read(0, EVERYTHING).events

    def log(self) -> list[tuple[Any, ...]]:
        """Each event's operation and values."""
        return [(event[OP], *event[VALUES:]) for event in self.events()]

    def schema(self) -> Rows:
        """All that the file's schema holds, but for what ANALYZE has left there."""
        return self.runs(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
            " WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"
        )

    def grow(self, shape: Shape, called: Names, rows: int) -> None:
        """Add rows to every table, numbered from 10 on, each with values of its own."""
        for table in shape.tables:
            name = quoted(called[table.label])
            columns = ", ".join(quoted(called[c.label]) for c in table.writable)
            values = ", ".join(NUMBERED[c.values].format("i") for c in table.writable)
            self.instructions(
                f"WITH RECURSIVE n(i) AS (SELECT 10 + (SELECT count(*) FROM {name}) UNION ALL"
                f" SELECT i + 1 FROM n WHERE i < 9 + {rows})"
                f" INSERT INTO {name} ({columns}) SELECT {values} FROM n"
            )


@pytest.fixture
def story(tmp_path: Path, legacy: Legacy) -> Iterator[Story]:
    path = tmp_path / "legacy.db"
    legacy.open(path)
    yield Story(path, legacy)
    legacy.close(path)
