"""What the tests of the recorded events share: files that are captured, and no PostgreSQL."""

import json
from pathlib import Path

import pytest

from cdc.cli.main import main
from cdc.event import LAYOUT
from cdc.replay.feed import Feed
from cdc.replay.forms import of_form
from cdc.replay.reader import EventReader
from cdc.replay.selection import Selection
from cdc.sqlite import capture, introspect
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.mirrors import fill_mirrors
from tests.support.command import Command
from tests.support.sites import Site

NOWHERE = "postgresql://nobody@nowhere.invalid/nothing"
"""These commands ask the files alone: whoever tried to connect would fail."""

LOCK_BOUND = 0.05


class Ledger(Site):
    """A site whose files are captured, and what is recorded of them."""

    def capture(self, name: str = "shop.db") -> None:
        """What `cdc install` does to a file, for all of its tables."""
        with SourceFile(self.file(name)) as file:
            with file.reading():
                tables = introspect.table_names(file)
            capture.install(file, tables)
            fill_mirrors(file)

    def lines(self, *, source: str = "shop", form: str = "json", **selection) -> list[dict]:
        """The events of a source as `cdc events` prints them."""
        return [json.loads(line) for line in self.raw_lines(source, form, **selection)]

    def raw_lines(self, source: str, form: str, **selection) -> list[bytes]:
        with EventReader(self.config.source(source), LOCK_BOUND) as reader:
            feed = Feed(reader, Selection(**selection), form)
            found = []
            while (lines := feed.next()) is not None:
                found += lines
        return found

    def layouts(self) -> set[int]:
        with EventReader(self.config.source("shop"), LOCK_BOUND) as reader:
            return {event[LAYOUT] for event in reader.read()}


@pytest.fixture
def ledger(tmp_path: Path, secret: str, cdc: Command):
    """The folder of the test with its configuration; shop.db is made by the test."""
    made = Ledger(tmp_path, NOWHERE, cdc)
    made.configure()
    yield made
    made.close()


@pytest.fixture
def run(ledger, capfd):
    """`run(*words)`: the command in this process; its exit code, output and words."""

    def call(*words: object):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in (words[0], "--config", ledger.config_path, *words[1:])])
        captured = capfd.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


def row_of(form: dict | None) -> dict | None:
    """A row as SQLite has it, from its form."""
    return None if form is None else {name: of_form(value) for name, value in form.items()}
