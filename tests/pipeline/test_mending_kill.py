"""A process that dies while it follows a change of the schema leaves nothing half done."""

import itertools
from contextlib import suppress

import psycopg
import pytest

from cdc.sqlite.connection import SourceFile
from tests.support.stepping import Stepper

LEGACY = """
CREATE TABLE trades (id INTEGER PRIMARY KEY, side TEXT UNIQUE, price REAL);
INSERT INTO trades VALUES (1, 'buy', 1.5), (2, 'sell', 2.5);
CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT);
"""


class Killed(BaseException):
    """As little can be done about it as about a kill: nothing catches it."""


class Killer:
    """Dies before the n-th thing that is sent to PostgreSQL or written to SQLite, or behind it.

    From then on nothing is sent or written, whatever is tried on the way out.
    """

    def __init__(self, monkeypatch):
        self.steps = 0
        self.at = None
        self.dead = False
        for owner, name in (
            (psycopg.Cursor, "execute"),
            (psycopg.Transaction, "__exit__"),
            (SourceFile, "_write_once"),
        ):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def aim(self, at):
        self.steps, self.at, self.dead = 0, at, False

    def _wrapped(self, original):
        def call(*args, **kwargs):
            self._count()
            done = original(*args, **kwargs)
            self._count()
            return done

        return call

    def _count(self):
        self.steps += 1
        self.dead = self.dead or self.steps == self.at
        if self.dead:
            raise Killed


@pytest.fixture
def killer(monkeypatch):
    return Killer(monkeypatch)


@pytest.mark.parametrize(
    "apart", [17, pytest.param(1, marks=pytest.mark.soak)], ids=["some steps", "every step"]
)
def test_killed_in_the_middle_of_a_mend(site, killer, apart):
    """Before it, between the ALTER and the position, behind both: the next start ends it."""
    site.sqlite(LEGACY)
    site.configure()
    [source] = site.config.sources
    with site.target() as target:
        stepper = Stepper(site.config, source, target)
        stepper.run()
        seen = set()
        for step in itertools.count(1, apart):
            _change(site, f"c{step}")
            killer.aim(step)
            with suppress(Killed):
                stepper.run()
            killed = killer.dead
            killer.aim(None)
            stepper.close()
            seen.add(_altered_and_applied(site, f"c{step}"))
            stepper.run()
            site.assert_equal()
            site.assert_position_exact()
            assert f"c{step}" in site.columns("trades")
            if not killed:
                break
        stepper.close()
    # ALTER done and the position behind; both done; neither.
    assert seen >= {(True, False), (True, True), (False, False)}


def _change(site, column):
    """Another column, with events of the old shape before it and of the new one behind it."""
    touch = "UPDATE trades SET price = price + 1; INSERT INTO notes (note) VALUES ('a')"
    site.sqlite(touch)
    site.sqlite(f"ALTER TABLE trades ADD COLUMN {column} INTEGER DEFAULT 7")
    site.sqlite(f"{touch}; INSERT INTO trades (price) VALUES (0)")


def _altered_and_applied(site, column):
    """Whether the target has the column, and whether the position is the end of the log."""
    [(applied,)] = site.postgres("SELECT applied_seq FROM cdc.source")
    [(end,)] = site.sqlite("SELECT max(seq) FROM _cdc_changelog")
    return column in site.columns("trades"), applied == end
