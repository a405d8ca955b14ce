"""What a replay has made, compared with the source where the moments allow.

The copy stands still at the event that it was replayed to; the file has gone on. So every row must
be equal but for those that the log names behind that event: as in any proof, these say nothing.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

from psycopg import sql

from cdc.config import Config, SourceConfig
from cdc.mapping.table import MappedTable
from cdc.postgres.connection import Target
from cdc.proof.debts import Debts
from cdc.proof.following import Following
from cdc.proof.gaps import WHOLE
from cdc.proof.outcome import TableOutcome
from cdc.proof.rows import RowComparison
from cdc.proof.sides import Sides
from cdc.proof.source import ProvenSource
from cdc.proof.standing import Standing
from cdc.proof.table import TableProof
from cdc.proof.target import ProvenTable
from cdc.proof.unordered import compare_whole
from cdc.rebuilt import Standing as Replayed
from cdc.sqlite.captures import captured
from cdc.sqlite.connection import SourceFile, Wait

OTHER_SHAPE = "The table has another shape by now, or is gone: it was not compared."


def prove_replayed(
    config: Config,
    source: SourceConfig,
    target: Target,
    tables: Mapping[int, MappedTable],
    *,
    replayed: Replayed,
    quarantine: sql.Identifier,
    wait: Wait,
) -> list[TableOutcome]:
    """Compare the tables of a schema, by layout, with those of the source's file.

    Raises LogGone where the file's log does not reach back to the event, TooFarBehind, SourceError.
    """
    standing = Standing(
        replayed.seq, replayed.log_id, "live", datetime.now(UTC), 0, True, (1, None)
    )
    seconds = config.replication.lock_bound_ms / 1000 / 2
    with closing(SourceFile(source.path)) as file:
        with file.reading():
            version, captures = file.schema_version, {c.layout: c for c in captured(file)}
        proven = {
            layout: ProvenTable(source.name, mapped, standing=standing, quarantine=quarantine)
            for layout, mapped in tables.items()
        }
        following = Following(file, proven, replayed.seq, seconds)
        side = ProvenSource(file, version, seconds, following, wait)
        outcomes = []
        for layout, table in proven.items():
            mapped = table.mapped
            outcome = TableOutcome(mapped.source.name, f"{mapped.schema}.{mapped.name}")
            outcomes.append(outcome)
            if layout not in captures:
                outcome.problem = OTHER_SHAPE
                continue
            _prove(Sides(side, captures[layout], table, target), outcome, wait)
        return outcomes


def _prove(sides: Sides, outcome: TableOutcome, wait: Wait) -> None:
    rows = RowComparison(sides, outcome)
    proof = TableProof(sides, rows, outcome, keep=lambda _: None, flush=lambda: None)
    if proof.ranged:
        proof.run([WHOLE])
    else:
        compare_whole(sides, rows, outcome)
    # What has changed since stays open: the copy does not follow.
    outcome.owed = Debts(sides, rows, wait).settle(patience=0.0)
    outcome.quarantined = len(rows.quarantined)
    outcome.done = True
