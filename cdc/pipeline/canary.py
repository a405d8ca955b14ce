"""The way back, tried before anybody needs it: through queue, mapping and file.

A row of a table of cdc's own goes the whole way, for good. The newest rows of every captured table
go there in transactions that are rolled back, on both sides: what SQLite could not hold as
PostgreSQL has it is found.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec

from cdc.crossing.pairs import pairs
from cdc.errors import CdcError, GateHeld
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.types import BIGINT, TEXT
from cdc.pipeline.replicate import Replication
from cdc.pipeline.returning import Returning
from cdc.postgres import trial as in_postgres
from cdc.postgres.connection import Target
from cdc.postgres.queue import QueueBatch
from cdc.postgres.reverse import LeftBehind
from cdc.sqlite import trial as in_sqlite
from cdc.sqlite.captures import Captured
from cdc.sqlite.connection import SourceFile

KIND: Final = "canary"

TURN_SECONDS: Final = 10.0
"""For the other sources' trials, and for writers of cdc's own, to be over."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of it. `seconds` is how long the canary's row took from one side to the other;
    `rows` of the `tables` went back, all but those that were `refused`. `problem` is "" where all
    could be tried.
    """

    seconds: float = 0.0
    tables: int = 0
    rows: int = 0
    refused: tuple[LeftBehind, ...] = ()
    problem: str = ""


def fly(target: Target, replication: Replication, source: str, _: object) -> dict[str, Any]:
    """Try the way back of one source; the fields of a Trial. For an errand.

    Whatever stands in its way is told, and is nothing to the replication, which goes on.
    """
    try:
        with SourceFile(replication.path, without_triggers=True, durable=True) as file:
            seconds = _send_canary(target, file, source)
            tables, rows, refused = _try_rows(target, file, source)
    except CdcError as error:
        return asdict(Trial(problem=error.line))
    return asdict(Trial(seconds, tables, rows, tuple(refused)))


def read(answer: dict[str, Any]) -> Trial:
    """The Trial that `fly` has put into an answer."""
    return msgspec.convert(answer, Trial)


def _send_canary(target: Target, file: SourceFile, source: str) -> float:
    table = in_sqlite.canary(file)
    mapped = _mapped(table)
    number, sign = time.time_ns() // 1000, uuid4().hex
    try:
        with target.lease() as conn:
            in_postgres.clear(conn, source, table.name)
            started = time.monotonic()
            in_postgres.release(conn, source, mapped, number, sign)
            batch = in_postgres.catch(conn, source, mapped)
        incoming = [Returning(mapped).rows(each).incoming for each in batch.tables]
        landed = [row for each in incoming for row in in_sqlite.land(file, table, each)]
        if landed != [(number, sign)]:
            raise CdcError(
                f"{source}: a row that was written to PostgreSQL came back as {landed}.",
                hint="The way back does not work: restart cdc run, and try again.",
            )
        return time.monotonic() - started
    finally:
        with target.lease() as conn:
            in_postgres.clear(conn, source, table.name)
        in_sqlite.forget(file)


def _touch(
    target: Target, source: str, tables: Sequence[MappedTable]
) -> tuple[QueueBatch, dict[str, int]]:
    """What the queue says of the newest rows, in this source's turn: the gate is one for all."""
    end = time.monotonic() + TURN_SECONDS
    while True:
        try:
            with target.lease() as conn:
                return in_postgres.touch(conn, source, tables)
        except GateHeld:
            if time.monotonic() > end:
                raise


def _mapped(table: Captured) -> MappedTable:
    columns = (TargetColumn("id", BIGINT, 0), TargetColumn("sign", TEXT, 1))
    return MappedTable(table.source.table, in_postgres.SCHEMA, in_postgres.TABLE, columns)


def _try_rows(target: Target, file: SourceFile, source: str) -> tuple[int, int, list[LeftBehind]]:
    with target.lease() as conn:
        found = {pair.captured.name: pair for pair in pairs(conn, file, source)}
        if not found:
            return 0, 0, []
    batch, touched = _touch(target, source, [pair.mapped for pair in found.values()])
    refused: list[LeftBehind] = []
    rows = sum(touched.values())
    for queued in batch.tables:
        pair = found[queued.table.source.name]
        returning = Returning(pair.mapped)
        returned = returning.rows(queued)
        refused += returned.unfit
        refused += map(
            returning.left_behind, in_sqlite.rehearse(file, pair.captured, returned.incoming)
        )
        touched[pair.captured.name] -= len(queued.rows)
    refused += [
        LeftBehind(name, "of any row", None, "what others write is not queued")
        for name, missing in touched.items()
        for _ in range(missing)
    ]
    return len(found), rows, refused
