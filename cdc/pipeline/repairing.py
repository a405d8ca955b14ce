"""A proof that mends what it finds: the rows that differ are written again, and proven again."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final

from cdc.config import Config
from cdc.errors import TargetRefused
from cdc.pipeline import errand
from cdc.pipeline.repair import KIND
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.postgres.gate import read_gate
from cdc.postgres.keys import dump_key
from cdc.proof.outcome import SourceOutcome, Verdict
from cdc.proof.request import Request
from cdc.proof.sources import SourceProof, prove
from cdc.sqlite.connection import Wait

WAIT_SECONDS: Final = 600.0
"""For the daemon to write the rows again."""


def prove_and_repair(
    config: Config,
    target: Target,
    request: Request,
    *,
    wait: Wait = time.sleep,
    watch: Callable[[Sequence[SourceProof]], AbstractContextManager[object]] = nullcontext,
) -> tuple[Verdict, Verdict]:
    """Prove; have the rows that differ written again, and prove again, until that helps no more.

    Returns the first verdict and the last one, in which `repaired` counts the rows of each table
    that were written again. A running daemon is asked to write; without one it is done here.
    """
    with target.lease() as conn:
        known = state.identity(conn)
        if known is not None and read_gate(conn).open:
            raise TargetRefused(
                "PostgreSQL is the master, and its rows are not written again from SQLite's",
                hint="Without --repair cdc verify shows what SQLite does not have.",
            )
    first = last = prove(config, target, request, wait=wait, watch=watch)
    repaired: dict[tuple[str, str], int] = {}
    while _differences(last):
        for source in last.sources:
            _repair(config, target, source, repaired, wait)
        before = _differences(last)
        # What was proven stands; what was written again is named in `cdc.unproven`.
        last = prove(config, target, replace(request, full=False), wait=wait, watch=watch)
        if _differences(last) >= before:
            break
    for source in last.sources:
        for table in source.tables:
            table.repaired = repaired.get((source.name, table.name), 0)
    return first, last


def _differences(verdict: Verdict) -> int:
    return sum(table.differences for source in verdict.sources for table in source.tables)


def _repair(
    config: Config,
    target: Target,
    source: SourceOutcome,
    repaired: dict[tuple[str, str], int],
    wait: Wait,
) -> None:
    keys = {table.name: table.keys for table in source.tables if table.keys}
    if not keys:
        return
    errand.run(
        config,
        config.source(source.name),
        target,
        KIND,
        {name: list(map(dump_key, some)) for name, some in keys.items()},
        command="cdc verify --repair",
        wait_seconds=WAIT_SECONDS,
        sleep=wait,
    )
    for name, some in keys.items():
        repaired[source.name, name] = repaired.get((source.name, name), 0) + len(some)
