"""Replaying archived events into a schema, against live catch-up of the very same ones.

The time to open and plan is not counted on either side, nor is the comparison at the end. The
replay has read the baseline, too, which is small.
"""

import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

from bench import legacy, product, target
from bench.catch_up import catch_up
from bench.report import Figure, interleaved
from cdc import garbage
from cdc.config import load
from cdc.crossing.names import TargetNames, naming_of
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.rebuild.into_schema import SchemaDestination
from cdc.rebuild.replay_mapping import ReplayMapper
from cdc.rebuild.replaying import ReplayProgress, replay
from cdc.replay.goal import Until, find_goal
from cdc.replay.plan import make_plan
from cdc.replay.store import open_store
from cdc.stop import Stop

BOUND: Final = ("at least", 1.0)


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """A backlog made by the real triggers: archived by one database, still to come for another."""
    events = 40_000 if quick else 400_000
    file = directory / "replay.db"
    legacy.create(file, legacy.TRADES)
    legacy.fill(file, legacy.INSERT_TRADE, legacy.trades(legacy.RECENT))
    with target.database(dsn) as before:
        config = product.write_config(directory, before, [file])
        product.cdc("run", "--until-caught-up", "-c", config)
        legacy.busy(file, events)
        with target.database(dsn, template=before) as archived:
            product.write_config(directory, archived, [file])
            product.cdc("run", "--until-caught-up", "-c", config)
            schemas = count()

            def replayed() -> float:
                product.write_config(directory, archived, [file])
                return _replay(config, f"replay_{next(schemas)}", events)

            def live() -> float:
                with target.database(dsn, template=before) as database:
                    product.write_config(directory, database, [file])
                    applied, seconds = catch_up(config)
                    return applied / seconds

            own, other = interleaved(1 if quick else 5, replayed, live)
    note = f"{events:,} events, {own / 1000:,.0f},000/s; live {other / 1000:,.0f},000/s"
    return [Figure("replay, times as fast as live catch-up", own / other, "x", BOUND, note)]


def _replay(config_path: Path, schema: str, events: int) -> float:
    """How many events are replayed in a second."""
    garbage.collect_rarely()  # as in the command
    config = load(config_path)
    source = config.sources[0]
    with (
        Target(config.postgres.dsn) as server,
        server.lease() as conn,
        open_store(config, source) as store,
    ):
        store.expect_replay()  # as in the command
        naming = replace(naming_of(config, source), schema=schema)
        known = state.captured_tables(conn, source.name)
        mapper = ReplayMapper(source, naming, TargetNames(), known)
        plan = make_plan(store, find_goal(store, Until(), lambda _: None))
        if not events <= plan.events <= store.archived:
            raise RuntimeError(f"{plan.events} events are archived, not {events}")
        destination = SchemaDestination(conn, schema, store, mapper)
        started = time.monotonic()
        replay(store, plan, destination, ReplayProgress(source.name), stop=Stop())
        return plan.events / (time.monotonic() - started)
