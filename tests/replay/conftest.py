"""What the tests of the recorded events share: files that are captured, and no PostgreSQL."""

import json
from pathlib import Path

import pytest

from cdc.cli.main import main
from cdc.event import LAYOUT
from cdc.pipeline import archiving
from cdc.replay.feed import Feed
from cdc.replay.forms import of_form
from cdc.replay.reader import EventReader
from cdc.replay.selection import Selection
from cdc.sqlite import capture, introspect, pruning
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.mirrors import fill_mirrors
from tests.replay.witness import rows_of
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


SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT UNIQUE, price REAL);
CREATE TABLE words (word TEXT PRIMARY KEY COLLATE NOCASE, n NUMERIC, raw BLOB);
CREATE TABLE notes (text TEXT, twice TEXT GENERATED ALWAYS AS (text || text) STORED);
CREATE INDEX by_price ON orders (price) WHERE price > 1;
"""


PAST = "[archive]\nprune_after_seconds = 0\nsegment_events = 50\n"
"""So short are the segments, and so soon is pruned."""


class Shop:
    """A site whose source has a past: archived, pruned, and some events that are still live."""

    def __init__(self, site, capfd):
        self.site = site
        self._capfd = capfd

    def live(self):
        """Make it, and return the seq of a moment between the two halves of its past."""
        site = self.site
        site.sqlite(SHOP)
        site.sqlite(
            "INSERT INTO orders VALUES (?, ?, ?)", *[(i, f"i{i}", i / 7) for i in range(90)]
        )
        site.sqlite("INSERT INTO words VALUES ('a', 1, x'00'), ('B', 2.5, NULL), ('ä', -0.5, x'')")
        site.sqlite("INSERT INTO notes VALUES ('x'), (NULL), ('z')")
        site.configure(more=PAST)
        site.catch_up()
        site.sqlite("DELETE FROM orders WHERE id % 3 = 0; UPDATE words SET word = 'A' WHERE n = 1")
        site.catch_up()
        seq = self.newest()
        site.sqlite("REPLACE INTO orders (item, price) SELECT item, price * 2 FROM orders")
        site.catch_up()
        site.sqlite("UPDATE notes SET text = text || rowid; UPDATE orders SET item = item || 'x'")
        return seq

    def newest(self):
        return self.site.sqlite("SELECT max(seq) FROM _cdc_changelog")[0][0]

    def replay(self, *words, code=0):
        """The command in this process; what it printed as JSON, or its words where it failed."""
        self._capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["replay", "--config", str(self.site.config_path), "--json", *map(str, words)])
        said = self._capfd.readouterr()
        assert ended.value.code == code, said.out + said.err
        return json.loads(said.out)["sources"][0] if said.out else said.err

    def rows(self, table, name="shop.db"):
        return rows_of(self.site.file(name), table)

    def target_is_proven(self):
        self.site.catch_up()
        self.site.assert_equal()
        self.site.assert_position_exact()
        assert self.site.prove(full=True).converged


@pytest.fixture
def shop(site, capfd, monkeypatch):
    for module in (pruning, archiving):
        monkeypatch.setattr(module, "FEWEST", 1)
    return Shop(site, capfd)
