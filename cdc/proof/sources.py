"""The proof of a whole source while it is written and replicated, and of all sources beside it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.crossing.mapper import kept_mapping
from cdc.errors import CdcError, ConfigError, GateMoved, SourceReplaced, TargetRefused
from cdc.mapping.table import MappedTable
from cdc.postgres import hold_back, state, stopped, switches
from cdc.postgres.connection import Connection, Target
from cdc.postgres.gate import read_gate
from cdc.proof import kept, runs
from cdc.proof.following import Following, LogGone, OnTheWay
from cdc.proof.integrity import look_at_keys
from cdc.proof.outcome import SourceOutcome, TableOutcome, Verdict
from cdc.proof.request import Request
from cdc.proof.shape import look_at_columns, look_at_triggers
from cdc.proof.sides import Sides
from cdc.proof.source import ProvenSource
from cdc.proof.table import TargetMoved
from cdc.proof.tables import TableRun
from cdc.proof.target import ProvenTable
from cdc.proof.touched import Touched, read_touched
from cdc.sqlite import log
from cdc.sqlite.captures import Captured, captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.log import Position
from cdc.sqlite.walk import TableWalk

SINCE_VERSION: Final = 7
"""The version of the schema cdc that this rests on."""

HOLD_SECONDS: Final = 3600.0
"""For how long the changelog is kept from being pruned, for a proof that died."""

PATIENCE_SECONDS: Final = 30.0
"""For another proof to end: the drift watch of a daemon makes way at once."""

CONNECTIONS: Final = 2
"""That the proof of one source uses at once."""


Pair = tuple[Captured, MappedTable, TableOutcome]


class SourceProof:
    """The proof of one source. For one thread; `outcome` may be looked at from others."""

    def __init__(
        self, config: Config, source: SourceConfig, target: Target, request: Request, wait: Wait
    ) -> None:
        self._config = config
        self._source = source
        self._target = target
        self._request = request
        self._wait = wait
        self.outcome = SourceOutcome(source.name)
        self.current: TableOutcome | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """How many rows are compared, and about how many there are to compare; kept ones apart."""
        tables = list(self.outcome.tables)
        return sum(each.rows for each in tables), sum(each.to_compare for each in tables)

    def run(self) -> SourceOutcome:
        """Prove the source. What stands in the way of it becomes a `problem` of the outcome."""
        started, began_at = time.monotonic(), datetime.now(UTC)
        try:
            self._run()
        except CdcError as error:
            self.outcome.problem, self.outcome.problem_code = error.line, error.exit_code
        self.outcome.seconds = time.monotonic() - started
        self._record(began_at)
        return self.outcome

    def _run(self) -> None:
        with self._target.lease() as conn:
            owner = f"proof {os.getpid()}"
            held = hold_back.keep_from_stand(
                conn,
                self._source.name,
                owner,
                lambda: self._known(conn).applied_seq,
                seconds=HOLD_SECONDS,
            )
            known = self._known(conn)
            if held is None:
                raise LogGone(
                    f"The log of {self._source.path} does not reach back to event"
                    f" {known.applied_seq}, at which PostgreSQL stands.",
                    hint="Let cdc run catch up first: it takes the events from the archive.",
                )
            made = {t.name: t for t in state.captured_tables(conn, self._source.name)}
            waiting = {t.name: t.reason for t in stopped.stopped_tables(conn, self._source.name)}
            backward = read_gate(conn).open
        if backward and self._request.share is not None:
            # The daemon's own watch is about what it writes to PostgreSQL.
            raise GateMoved("PostgreSQL takes the writes now")
        try:
            with SourceFile(self._source.path) as file:
                self._prove(file, known, made, waiting, backward=backward)
        finally:
            with self._target.lease() as conn:
                hold_back.let_go(conn, self._source.name, owner)

    def _known(self, conn: Connection) -> state.Source:
        identity = state.identity(conn)
        known = state.source(conn, self._source.name) if identity else None
        if identity is None or known is None:
            raise TargetRefused(
                f"{self._source.name} was never replicated to this target",
                hint="Run cdc run first; cdc status shows what there is.",
            )
        if identity.version < SINCE_VERSION:
            raise TargetRefused(
                f"the schema cdc has version {identity.version}, and a proof needs {SINCE_VERSION}",
                hint="Start this version's cdc run once: it brings the schema up to date.",
            )
        return known

    def _prove(
        self,
        file: SourceFile,
        known: state.Source,
        made: dict[str, state.CapturedTable],
        waiting: dict[str, str],
        *,
        backward: bool,
    ) -> None:
        with file.reading():
            own = log.read(file)
            if own is None or own.id != known.log_id:
                raise SourceReplaced(
                    f"The log of {file.path} is not the one that was replicated.",
                    hint="See cdc status, or start cdc run: it says what to do.",
                )
            log.check_continues(file, Position(known.applied_seq, known.applied_digest or b""))
            schema_version = file.schema_version
            every = captured(file, breathe=file.breathe)
        pairs = self._pairs(every, made, waiting)
        seconds = self._config.replication.lock_bound_ms / 1000 / 2
        name = self._source.name
        tables = {
            each.layout: ProvenTable(name, mapped, written=backward) for each, mapped, _ in pairs
        }
        following = (
            OnTheWay(tables) if backward else Following(file, tables, known.applied_seq, seconds)
        )
        source = ProvenSource(
            file, schema_version, seconds, following, self._wait, share=self._request.share
        )
        with file.reading():
            for each, _, outcome in pairs:
                outcome.expected = TableWalk(file, each.source).estimated_rows()
        touched = self._touched(file, pairs, known.applied_seq, seconds, anew=backward)
        self._look_at_columns(pairs, made)
        for each, _, outcome in pairs:
            self.current = outcome
            if outcome.misshapen:
                outcome.problem = "Its target has another shape than it should, see below."
                continue
            sides = Sides(source, each, tables[each.layout], self._target)
            run = TableRun(sides, outcome, self._wait)
            try:
                run.run(touched, self._request)
                with self._target.lease() as conn:
                    outcome.findings += look_at_triggers(conn, self._source.name, each.name)
            except (TargetMoved, LogGone) as moved:
                outcome.problem = moved.line
        self._look_at_keys(pairs, _mapped(every, made))
        self._measure(file)

    def _look_at_columns(self, pairs: Sequence[Pair], made: dict[str, state.CapturedTable]) -> None:
        by_hand = {name for name, table in made.items() if table.definition.get("adopted")}
        # One that is being copied has no key yet; that it is not copied is said elsewhere.
        live = {each.name: mapped for each, mapped, _ in pairs if made[each.name].state == "live"}
        with self._target.lease() as conn:
            found = look_at_columns(conn, live, by_hand)
        for each, _, outcome in pairs:
            outcome.findings += found.get(each.name, ())

    def _look_at_keys(self, pairs: Sequence[Pair], parents: dict[str, MappedTable]) -> None:
        usable = [pair for pair in pairs if not pair[2].misshapen]
        with self._target.lease() as conn:
            look_at_keys(
                conn,
                self._config,
                self._source.name,
                usable,
                parents=parents,
                orphans=self._request.full,
            )

    def _pairs(
        self,
        every: Sequence[Captured],
        made: dict[str, state.CapturedTable],
        waiting: dict[str, str],
    ) -> list[Pair]:
        """What can be compared; everything else gets an outcome that says why it cannot."""
        pairs = []
        names = dict.fromkeys([*(each.name for each in every), *made, *waiting])
        by_name = {each.name: each for each in every}
        for name in names:
            if not (self._request.has(name) and self._source.captures(name)):
                continue
            capture, target = by_name.get(name), made.get(name)
            shown = f"{target.target_schema}.{target.target_name}" if target else ""
            outcome = TableOutcome(name, shown)
            self.outcome.tables.append(outcome)
            mapped = kept_mapping(target, capture) if target and capture else None
            if name in waiting:
                outcome.problem = waiting[name]
            elif capture is None or mapped is None:
                outcome.problem = "It has no target of its present shape: let cdc run copy it."
            else:
                pairs.append((capture, mapped, outcome))
        return pairs

    def _touched(
        self,
        file: SourceFile,
        pairs: Sequence[Pair],
        position: int,
        seconds: float,
        *,
        anew: bool,
    ) -> Touched:
        if self._request.full or anew:
            return Touched(position, position)
        with self._target.lease() as conn:
            names = [each.name for each, _, _ in pairs]
            oldest = kept.oldest_position(conn, self._source.name, names)
        if oldest is None:
            return Touched(position, position)
        keys = {each.layout: mapped.key for each, mapped, _ in pairs}
        return read_touched(file, keys, oldest, position, seconds)

    def _measure(self, file: SourceFile) -> None:
        with self._target.lease() as conn:
            known = state.source(conn, self._source.name)
        with file.reading():
            self.outcome.captured_seq = Changelog(file).newest()
        self.outcome.applied_seq = known.applied_seq if known else 0

    def _record(self, began_at: datetime) -> None:
        if not self._request.whole or self._request.share or self.outcome.problem:
            return
        with self._target.lease() as conn:
            runs.record(conn, self.outcome, full=self._request.full, began_at=began_at)


@contextmanager
def _proving(target: Target) -> Iterator[Connection]:
    with target.lease() as conn:
        switches.refuse_finished(conn)
        yield conn


def _mapped(
    every: Sequence[Captured], made: Mapping[str, state.CapturedTable]
) -> dict[str, MappedTable]:
    """The targets of all captured tables that have one of their present shape, by name."""
    found = (
        (each.name, kept_mapping(made[each.name], each)) for each in every if each.name in made
    )
    return {name: mapped for name, mapped in found if mapped is not None}


def prove(
    config: Config,
    target: Target,
    request: Request,
    *,
    wait: Wait = time.sleep,
    watch: Callable[[Sequence[SourceProof]], AbstractContextManager[object]] = nullcontext,
) -> Verdict:
    """Prove all sources of a configuration, or the one of the request, side by side.

    `wait` may call the waits off, as a stop does. `watch` is entered around the work. Raises
    ConfigError where the request names what is not there, TargetError where PostgreSQL does not
    answer, ProofBusy where another proof is under way, and Finished.

    While PostgreSQL is master SQLite has to hold what PostgreSQL does (`cdc.proof.backward`);
    otherwise it is the other way round.
    """
    chosen = [config.source(request.source)] if request.source else list(config.sources)
    started, began_at = time.monotonic(), datetime.now(UTC)
    proofs = [SourceProof(config, each, target, request, wait) for each in chosen]
    workers = max(1, (config.postgres.max_connections - 1) // CONNECTIONS)
    with (
        _proving(target) as conn,
        runs.alone(conn, patience=PATIENCE_SECONDS),
        watch(proofs),
        ThreadPoolExecutor(min(workers, len(proofs)), "cdc-proof") as pool,
    ):
        outcomes = list(pool.map(SourceProof.run, proofs))
    if request.table and not any(outcome.tables for outcome in outcomes):
        raise ConfigError(
            f"No source has a captured table {request.table!r}.",
            hint="cdc status shows the tables of each source.",
        )
    return Verdict(outcomes, request.full, began_at, time.monotonic() - started)
