"""Whether there would be a way back, tried with rows that nobody misses; what it cannot carry."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cdc.crossing.pairs import pairs
from cdc.cutover.sight import Found, Sight
from cdc.mapping.limits import limits as of_table
from cdc.pipeline import canary as trial
from cdc.pipeline import errand
from cdc.postgres import queue, reverse
from cdc.postgres.gate import read_gate
from cdc.sqlite.connection import SourceFile

CANARIES: Final = 3
"""Sources whose way back is tried at one time; each needs a connection meanwhile."""


CANARY_SECONDS: Final = 20.0
"""For the daemon to try it."""


MOST_NAMED: Final = 5
"""Rows that a gate names."""


def canary(sight: Sight) -> Found:
    """The daemon is asked: it is the one that will bring rows back."""
    with sight.target.lease() as conn:
        opened = read_gate(conn).open
    if opened:
        yield False, "PostgreSQL is the master: there is nothing to be tried"
        return
    running = {each.name for each in sight.lags if each.holder is not None}
    for source in sight.config.sources:
        if source.name not in running:
            yield False, f"{source.name}: there is no daemon to try it"
    with ThreadPoolExecutor(CANARIES) as flock:
        flying = {name: flock.submit(_fly, sight, name) for name in sorted(running)}
        for name, flight in flying.items():
            yield from _landed(name, flight.result())


def _fly(sight: Sight, name: str) -> trial.Trial:
    return trial.read(
        errand.run(
            sight.config,
            sight.config.source(name),
            sight.target,
            trial.KIND,
            None,
            command="cdc cutover",
            wait_seconds=CANARY_SECONDS,
        )
    )


def _landed(name: str, landed: trial.Trial) -> Found:
    if landed.problem:
        yield False, f"{name}: {landed.problem}"
        return
    for row in landed.refused[:MOST_NAMED]:
        column = f", column {row.column}" if row.column else ""
        yield False, f"{name}: {row.name}, key {row.key}{column}: {row.reason}"
    if len(landed.refused) > MOST_NAMED:
        yield False, f"{name}: and {len(landed.refused) - MOST_NAMED} more rows"
    back = landed.rows - len(landed.refused)
    words = f"{name}: a row of cdc's own came back in {landed.seconds * 1000:.0f} ms, and"
    yield True, f"{words} {back} rows of {landed.tables} tables, which were rolled back"


def way_back(sight: Sight) -> Found:
    for source in sight.config.sources:
        with sight.target.lease() as conn:
            with SourceFile(source.path, without_triggers=True) as file:
                tables = [pair.mapped for pair in pairs(conn, file, source.name)]
            waiting = queue.backlog(conn, source.name).entries
            behind = len(reverse.quarantined(conn, source.name))
            followed = queue.followed(conn, source.name, tables)
        yield not waiting, f"{source.name}: {waiting:,} entries in the queue"
        yield not behind, f"{source.name}: {behind:,} rows that SQLite could not hold"
        yield followed == len(tables), f"{source.name}: {followed} of {len(tables)} tables followed"


def limits(sight: Sight) -> Found:
    """What PostgreSQL may hold one day and SQLite cannot; no reason to stay, but to know."""
    for source in sight.config.sources:
        with sight.target.lease() as conn, SourceFile(source.path) as file:
            tables = [pair.mapped for pair in pairs(conn, file, source.name)]
        for table in tables:
            for column, words in of_table(table):
                yield True, f"{source.name}.{table.source.name}.{column}: {words}"
    yield True, "any column: NaN, infinite numbers and dates, dates before the year 1"
