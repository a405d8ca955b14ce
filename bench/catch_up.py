"""Catching up after the daemon was down, against a loop that runs one statement per event.

The loop is a naive replicator: psycopg, a statement for each event as it comes, and a transaction
for each 100 events, in which it notes how far it is. The time to open the source is not counted.
"""

import time
from itertools import islice
from pathlib import Path
from typing import Final

import apsw
import psycopg
from psycopg import sql

from bench import legacy, product, target
from bench.report import Figure, interleaved
from cdc import garbage
from cdc.ahead import take_turns
from cdc.config import load
from cdc.event import OP, SEQ, VALUES, Event, Op
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import open_session
from cdc.postgres.connection import Target
from cdc.stop import Stop

BOUND = ("at least", 20.0)
NAIVE_TRANSACTION: Final = 100
COLUMNS: Final = 25


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """A backlog made by the real triggers; each way applies it to a database of its own."""
    events, naive_events = (40_000, 5_000) if quick else (200_000, 20_000)
    file = directory / "backlog.db"
    legacy.create(file, legacy.TRADES)
    legacy.fill(file, legacy.INSERT_TRADE, legacy.trades(legacy.RECENT))
    with target.database(dsn) as before:
        config = product.write_config(directory, before, [file])
        product.cdc("run", "--until-caught-up", "-c", config)
        legacy.busy(file, events)

        def ours() -> float:
            with target.database(dsn, template=before) as database:
                product.write_config(directory, database, [file])
                applied, seconds = catch_up(config)
                if applied != events:
                    raise RuntimeError(f"{applied} events were applied instead of {events}")
                return applied / seconds

        def naive() -> float:
            with target.database(dsn, template=before) as database:
                return naive_events / _one_by_one(file, database, naive_events)

        own, other = interleaved(1 if quick else 5, ours, naive)
    note = f"{events:,} events, {own / 1000:,.0f},000/s; the other way {other / 1000:,.0f},000/s"
    what = "catch-up, times as fast as a statement per event"
    return [Figure(what, own / other, "x", BOUND, note)]


def catch_up(config_path: Path) -> tuple[int, float]:
    """How many events were applied, in how many seconds."""
    garbage.collect_rarely()  # as in the daemon
    take_turns()
    config = load(config_path)
    source = config.sources[0]
    with Target(config.postgres.dsn) as server:
        session = open_session(config, source, server, Stop())
        progress = SourceProgress(source.name)
        replication = Replication(
            source.name, session, server, config.replication, progress, synchronous_commit=False
        )
        try:
            started = time.monotonic()
            while replication.step():
                pass
            return progress.events, time.monotonic() - started
        finally:
            replication.close()


def _one_by_one(file: Path, dsn: str, events: int) -> float:
    """The seconds that it takes to apply so many events, one statement for each."""
    statements = _statements()
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")
        # As the product's own sessions do: the guard lets this one pass.
        conn.execute("SET cdc.session = 'on'")
        conn.execute("CREATE TABLE naive_position (seq bigint)")
        conn.execute("INSERT INTO naive_position VALUES (0)")
        started = time.monotonic()
        log = connection.execute("SELECT * FROM _cdc_changelog ORDER BY seq LIMIT ?", (events,))
        while transaction := list(islice(log, NAIVE_TRANSACTION)):
            with conn.transaction():
                for event in transaction:
                    _apply(conn, statements, event)
                conn.execute("UPDATE naive_position SET seq = %s", (transaction[-1][SEQ],))
        seconds = time.monotonic() - started
    connection.close()
    return seconds


def _apply(conn: psycopg.Connection, statements: dict[str, bytes], event: Event) -> None:
    values = event[VALUES : VALUES + COLUMNS]
    match event[OP]:
        case Op.INSERT:
            conn.execute(statements["i"], values)
        case Op.UPDATE:
            conn.execute(statements["u"], (*values[1:], values[0]))
        case _:
            conn.execute(statements["d"], values[:1])


def _statements() -> dict[str, bytes]:
    with legacy.sqlite3.connect(":memory:") as scratch:
        scratch.execute(legacy.TRADES)
        names = [name for _, name, *_ in scratch.execute("PRAGMA table_info(trades)")]
    table = sql.Identifier("public", "trades")
    columns = [sql.Identifier(name) for name in names]
    key, *others = columns
    return {
        "i": sql.SQL("INSERT INTO {} ({}) VALUES ({})")
        .format(
            table,
            sql.SQL(", ").join(columns),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        )
        .as_bytes(None),
        "u": sql.SQL("UPDATE {} SET {} WHERE {} = %s")
        .format(table, sql.SQL(", ").join(sql.SQL("{} = %s").format(c) for c in others), key)
        .as_bytes(None),
        "d": sql.SQL("DELETE FROM {} WHERE {} = %s").format(table, key).as_bytes(None),
    }
