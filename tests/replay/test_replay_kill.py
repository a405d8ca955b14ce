"""A replay that dies at any moment is taken up by the same command: nothing is repeated or lost."""

import random
import signal
from contextlib import suppress

import psycopg
import pytest

from cdc.crossing.names import TargetNames
from cdc.rebuild.source_replay import SourceReplay
from cdc.replay import pieces
from cdc.replay.goal import Until
from cdc.replay.request import IntoFile, IntoSchema, IntoTarget, Request
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.rebuilt import RebuiltFile
from cdc.stop import Stop
from tests.replay.witness import rows_of
from tests.support.waiting import wait_until

MOMENTS = 7
"""Of the suite; a soak run dies at each."""

TABLES = ("orders", "words", "notes")


class Killed(BaseException):
    """As little can be done about it as about a kill: nothing catches it."""


class Killer:
    """Dies before the n-th thing that is sent to a database, or behind it; from then on nothing is
    sent any more."""

    def __init__(self, monkeypatch):
        self.steps = 0
        self.at = None
        self.dead = False
        for owner, name in (
            (psycopg.Cursor, "execute"),
            (psycopg.RawCursor, "execute"),
            (psycopg.Transaction, "__exit__"),
            (SourceFile, "_write_once"),
            (RebuiltFile, "begin"),
            (RebuiltFile, "write"),
            (RebuiltFile, "finish"),
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
def killer(monkeypatch, shop):
    shop.live()
    monkeypatch.setattr(pieces, "STRETCH_VALUES", 30)
    return Killer(monkeypatch)


def run(site, into):
    [source] = site.config.sources
    request = Request(Until(), into)
    with site.target() as target:
        replay = SourceReplay(
            site.config, source, request, target, names=TargetNames(), stop=Stop()
        )
        return replay.run()


def die_at_every_moment(site, killer, make_into, judge, *, moments, seed):
    """Die at so many moments, go on, and judge what came of it; all of them with `moments` None."""
    killer.aim(None)
    run(site, make_into(0))
    steps = killer.steps
    every = range(1, steps + 1)
    chosen = every if moments is None else random.Random(seed).sample(every, moments)
    died = 0
    for at in chosen:
        into = make_into(at)
        killer.aim(at)
        with suppress(Killed):
            run(site, into)
        died += killer.dead
        killer.aim(None)
        judge(into, lambda into=into: run(site, into))
    assert died > len(chosen) / 2


def into_target(shop, killer, moments):
    def judge(_, go_on):
        outcome = go_on()
        assert (outcome.equal, outcome.unproven, outcome.open) == (True, "", 0)

    die_at_every_moment(shop.site, killer, lambda _: IntoTarget(), judge, moments=moments, seed=1)
    shop.target_is_proven()


def into_schema(shop, killer, moments):
    def judge(into, go_on):
        outcome = go_on()
        assert (outcome.equal, outcome.unproven, outcome.open) == (True, "", 0)
        shop.site.postgres(f"DROP SCHEMA {into.schema} CASCADE")

    die_at_every_moment(
        shop.site, killer, lambda at: IntoSchema(f"at_{at}"), judge, moments=moments, seed=2
    )


def into_file(shop, killer, moments):
    def judge(into, go_on):
        # Behind its very end there is nothing to go on with: it is a file like any other.
        if not finished(into.path):
            outcome = go_on()
            assert (outcome.equal, outcome.unproven) == (True, "")
        for table in TABLES:
            assert rows_of(into.path, table) == shop.rows(table)

    folder = shop.site.folder
    die_at_every_moment(
        shop.site, killer, lambda at: IntoFile(folder / f"{at}.db"), judge, moments=moments, seed=3
    )


def finished(path):
    if not path.exists() or not path.stat().st_size:
        return False
    with SourceFile(path, only_look=True) as file, file.reading():
        # None at all where the death left a journal behind, which has just been rolled back.
        names = [name for (name,) in file.query("SELECT name FROM sqlite_schema")]
        return bool(names) and "_cdc_replay" not in names


WAYS = {"target": into_target, "schema": into_schema, "file": into_file}


@pytest.mark.parametrize("way", WAYS)
def test_death_at_some_moments(shop, killer, way):
    """Whatever was sent last, and whether or not it arrived."""
    WAYS[way](shop, killer, MOMENTS)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_death_at_every_moment(shop, killer, way):
    """The same, at each of them."""
    WAYS[way](shop, killer, None)


def test_the_daemon_does_not_go_on_with_half_a_target(shop, killer):
    """Until the replay has ended, `cdc run` refuses, and says what to do."""
    killer.aim(None)
    run(shop.site, IntoTarget())
    killer.aim(killer.steps // 2)
    with suppress(Killed):
        run(shop.site, IntoTarget())
    killer.aim(None)
    said = shop.site.cdc("run", "--until-caught-up")
    assert said.code == 3
    assert "cdc replay --source shop --yes again" in said.err
    assert shop.replay("--yes")["equal"]
    shop.target_is_proven()


def test_a_killed_process_and_a_stopped_one(shop):
    """kill -9 and SIGTERM while rows are written; the next run goes on, and ends like any other."""
    site = shop.site
    shop.live()
    for name, number in (("killed.db", signal.SIGKILL), ("stopped.db", signal.SIGTERM)):
        path = site.file(name)
        process = site.cdc.begin("replay", "--into-sqlite", path)
        wait_until(lambda path=path, p=process: path.exists() or p.poll() is not None, 60)
        process.send_signal(number)
        process.communicate()
        if not finished(path):
            assert shop.replay("--into-sqlite", path)["equal"]
        for table in TABLES:
            assert rows_of(path, table) == shop.rows(table)
