"""A small system of two files, replicated and proven, and who may write to it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import psycopg

from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.phases import Report
from cdc.postgres import switches
from tests.support.command import ROOT
from tests.support.waiting import wait_until

from . import ledger
from .conftest import run, succeed

HERE = Path(__file__).parent

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT UNIQUE, price REAL);
INSERT INTO orders (item, price) VALUES ('a', 1.5), ('b', 2.5), ('c', 3.5);
DELETE FROM orders WHERE item = 'c';
"""
OTHER = "CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT); INSERT INTO logs VALUES (7, 'x')"

MORE = """
[cutover]
takeover_seconds = 0
hold_ms = 2000
max_lag_events = 100_000
max_lag_seconds = 60.0
env_file = ".env"
env_switched = { DB_ENGINE = "postgresql", LOCK = "true" }
env_open = { LOCK = "false" }
env_rolled_back = { DB_ENGINE = "sqlite" }

[[hooks]]
on = "regression"
command = ["sh", "-c", "test ! -e fail"]
"""
"""The bounds are generous ones: other tests share the machine. What a command leaves that dies the
daemon leaves to the next command.
"""

PATIENCE_SECONDS = 120.0
"""For the first copy, beside soak runs of others."""

OF_THE_OTHER_SIDE = 1_000_000
"""From here on the rows are PostgreSQL's prober's."""


NAMES = ("shop.db", "other.db")


def replicated(site, more: str = MORE, names: tuple[str, str] = NAMES, **settings: object):
    """Two files, replicated by a running daemon, and proven."""
    site.sqlite(SHOP, name=names[0])
    site.sqlite(OTHER, name=names[1])
    (site.folder / ".env").write_text("DB_ENGINE=sqlite\n")
    site.configure(*names, more=more, poll_ms=100, **settings)
    follow(site)
    prove(site)
    return site


def follow(site) -> None:
    """Start a daemon, and wait until it follows every file."""
    site.start()
    wait_until(lambda: all(lag.state == "tailing" for lag in site.lags()), PATIENCE_SECONDS)
    wait_until(site.caught_up, PATIENCE_SECONDS)


def prove(site) -> None:
    assert site.prove(full=True).converged


def returning(site) -> bool:
    return all(lag.state == "returning" for lag in site.lags())


def moved_over(site, more: str = MORE):
    """The same two files, whose PostgreSQL is master, with a daemon that brings its writes back."""
    replicated(site, more)
    succeed(site, Cutover)
    wait_until(lambda: returning(site))
    return site


def mode(site) -> str:
    with site.target() as target, target.lease() as conn:
        return switches.mode(conn, switches.SINCE_VERSION)


def sqlite_writes(site) -> bool:
    """Whether SQLite takes writes, tried in a transaction that is rolled back."""
    with site.connection(site.config.sources[0].path) as db:
        db.execute("BEGIN")
        try:
            db.execute("UPDATE orders SET price = price")
        except apsw.ConstraintError:
            return False
        finally:
            db.execute("ROLLBACK")
    return True


def postgres_writes(site) -> bool:
    with psycopg.connect(site.dsn) as conn:
        try:
            conn.execute("UPDATE orders SET price = price")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        finally:
            conn.rollback()
    return True


def masters(site) -> tuple[bool, bool]:
    """Whether SQLite takes writes, and PostgreSQL; never both, whichever is asked first."""
    return sqlite_writes(site), postgres_writes(site)


class Prober:
    """Asks one side all the time, with writes that it gives up for nothing."""

    def __init__(self, site, side: str, first: int) -> None:
        where = {"sqlite": site.file(), "postgres": site.dsn}[side]
        self._ledger = site.folder / f"{side}.ledger"
        self._process = subprocess.Popen(
            [sys.executable, HERE / "retrying.py", self._ledger, str(first), side, where],
            stdin=subprocess.PIPE,
        )

    @property
    def writes(self) -> list[ledger.Write]:
        """What was acknowledged so far."""
        return ledger.read(self._ledger)

    def wait(self, more: int = 1) -> None:
        """Wait until more writes are acknowledged than now."""
        before = len(self.writes)
        wait_until(lambda: len(self.writes) >= before + more)

    def stop(self) -> None:
        """Let it end what it is at; harmless when it has ended."""
        self._process.stdin.close()
        assert self._process.wait(30) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()


@contextmanager
def probers(site) -> Iterator[list[Prober]]:
    """One on each side."""
    both = [Prober(site, "sqlite", 0), Prober(site, "postgres", OF_THE_OTHER_SIDE)]
    try:
        yield both
    finally:
        for each in both:
            each.kill()


def assert_all_there(site, both: list[Prober]) -> None:
    """Each acknowledged write is on both sides once, and none was made under the other's reign."""
    for each in both:
        each.stop()
    wait_until(lambda: all(lag.lag_events == 0 for lag in site.lags()))
    writes = [write for each in both for write in each.writes]
    wanted = sorted(f"w{write.number}" for write in writes)
    query = "SELECT item FROM orders WHERE item LIKE 'w%'"
    assert sorted(item for (item,) in site.sqlite(query)) == wanted
    assert sorted(item for (item,) in site.postgres(query)) == wanted
    assert ledger.usurpers(writes, ledger.reigns(site)) == []


def dying(site, kind: str, state: str, *pid: int) -> "subprocess.Popen[str]":
    """A command in which a process dies at a state; itself, where no other is named."""
    return subprocess.Popen(
        [sys.executable, HERE / "dying.py", site.config_path, kind, state, *map(str, pid)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def die(site, kind: str, state: str) -> None:
    """Run a command that dies at a state."""
    process = dying(site, kind, state)
    out, err = process.communicate()
    assert process.returncode == -9, (state, out, err)


KINDS = {"cutover": Cutover, "rollback": Rollback}
DONE = {"cutover": "switched", "rollback": "rolled_back"}


def run_to_the_end(site, kind: str) -> list[Report]:
    """Run the command again until it has switched; at most once more than it takes to undo."""
    reports = [run(site, KINDS[kind])]
    if reports[0].outcome == "aborted":
        reports.append(run(site, KINDS[kind]))
    assert [reports[-1].outcome, reports[-1].trouble] == [DONE[kind], []], reports
    assert not (site.folder / ".cdc" / "cutover.json").exists()
    return reports
