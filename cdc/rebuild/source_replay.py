"""One source replayed: what is kept of it opened, a goal found, its tables rebuilt and compared."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from psycopg import sql

from cdc.config import Config, SourceConfig
from cdc.crossing.names import TargetNames, naming_of
from cdc.errors import CdcError, TargetUnavailable
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.postgres.rebuilt import QUARANTINE
from cdc.proof.files import compare_files
from cdc.proof.outcome import TableOutcome
from cdc.proof.replayed import prove_replayed
from cdc.proof.request import Request as ProofRequest
from cdc.proof.sources import prove
from cdc.rebuild.holding import Hold, open_held
from cdc.rebuild.into_file import FileDestination
from cdc.rebuild.into_schema import SchemaDestination
from cdc.rebuild.into_target import TargetDestination
from cdc.rebuild.replay_mapping import ReplayMapper
from cdc.rebuild.replaying import ReplayProgress, replay
from cdc.replay.destination import Destination
from cdc.replay.goal import Goal, find_goal
from cdc.replay.plan import Plan, make_plan
from cdc.replay.request import IntoDatabase, IntoFile, IntoSchema, IntoTarget, Request
from cdc.replay.store import Store
from cdc.sqlite import surroundings
from cdc.sqlite.lock import SourceLock
from cdc.stop import Stop

COMMAND: Final = "cdc replay"


@dataclass(slots=True)
class ReplayOutcome:
    """What became of the replay of one source; of a dry run, what it would take.

    `events` were read, `archived` of them from the archive, and `rows` of baselines. `set_aside`
    counts the rows of each table that it cannot hold. `proof` is what was found for each table, and
    `unproven` says why there is none.
    """

    name: str
    log_id: str
    goal: Goal
    tables: tuple[str, ...]
    unknown: tuple[str, ...]
    events: int
    archived: int
    baselines: int
    rows: int
    missing: str = ""
    set_aside: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    proof: list[TableOutcome] = field(default_factory=list)
    unproven: str = ""
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether nothing was found to differ."""
        return not any(t.missing or t.extra or t.different for t in self.proof)

    @property
    def open(self) -> int:
        """Rows that have changed since, so that they could not be compared."""
        return sum(table.owed for table in self.proof)


class SourceReplay:
    """The replay of one source. `target` is the configured one, None where it cannot be asked;
    `names` are the names of tables that are given out in the destination.
    """

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        request: Request,
        target: Target | None,
        *,
        names: TargetNames,
        stop: Stop,
    ) -> None:
        self._config = config
        self._source = source
        self._request = request
        self._target = target
        self._names = names
        self._stop = stop
        self._hold = Hold(target, source.name)
        self.progress = ReplayProgress(source.name)

    def run(self) -> ReplayOutcome:
        """Replay, and compare what was made with the source as far as that can be."""
        started = time.monotonic()
        into = self._request.into
        with ExitStack() as stack:
            if isinstance(into, IntoTarget) and not self._request.dry_run:
                stack.enter_context(self._locked())
            store = stack.enter_context(closing(open_held(self._config, self._source, self._hold)))
            stack.callback(self._hold.let_go)
            if not self._request.dry_run:
                store.expect_replay()
            goal = find_goal(store, self._request.until, self._boundary_before)
            plan = make_plan(store, goal, self._request.tables)
            outcome = _outcome(store, plan)
            if not self._request.dry_run:
                self._rebuild(store, plan, outcome)
        outcome.seconds = time.monotonic() - started
        return outcome

    def _rebuild(self, store: Store, plan: Plan, outcome: ReplayOutcome) -> None:
        match self._request.into:
            case IntoFile(path):
                with closing(FileDestination(path, store)) as into_file:
                    plan = self._replay(store, plan, into_file, outcome)
                layouts = [table.layout for table in plan.tables]
                bound = self._config.replication.lock_bound_ms / 1000
                if store.reader is None:
                    outcome.unproven = store.missing
                else:
                    self._prove(
                        outcome,
                        lambda: compare_files(
                            self._source.path, path, layouts, plan.goal.seq, bound
                        ),
                    )
            case IntoSchema(schema):
                self._into_schema(store, plan, outcome, self._asked(), schema)
            case IntoDatabase(dsn):
                schema = self._config.target_schema(self._source)
                with Target(dsn) as other:
                    self._into_schema(store, plan, outcome, other, schema)
            case IntoTarget():
                self._into_target(store, plan, outcome, self._asked())

    def _into_schema(
        self, store: Store, plan: Plan, outcome: ReplayOutcome, into: Target, schema: str
    ) -> None:
        naming = replace(naming_of(self._config, self._source), schema=schema)
        mapper = ReplayMapper(self._source, naming, self._names, self._known())
        with (
            into.lease() as conn,
            closing(SchemaDestination(conn, schema, store, mapper)) as destination,
        ):
            self._replay(store, plan, destination, outcome)
            outcome.set_aside = destination.set_aside
        if store.reader is None:
            outcome.unproven = store.missing
            return
        self._prove(
            outcome,
            lambda: prove_replayed(
                self._config,
                self._source,
                into,
                destination.tables,
                replayed=destination.standing,
                quarantine=sql.Identifier(schema, QUARANTINE),
                wait=self._stop.wait,
            ),
        )

    def _into_target(
        self, store: Store, plan: Plan, outcome: ReplayOutcome, target: Target
    ) -> None:
        with target.lease() as conn:
            destination = TargetDestination(conn, self._config, store)
            self._replay(store, plan, destination, outcome)
            outcome.set_aside = destination.set_aside
        self._prove(outcome, lambda: self._verify(target))

    def _replay(
        self, store: Store, plan: Plan, destination: Destination, outcome: ReplayOutcome
    ) -> Plan:
        plan = replay(
            store, plan, destination, self.progress, stop=self._stop, keep=self._hold.renew
        )
        outcome.notes += destination.finish()
        return plan

    def _prove(self, outcome: ReplayOutcome, compare: Callable[[], list[TableOutcome]]) -> None:
        """Compare, or say why that could not be: the replay is done all the same."""
        try:
            outcome.proof = compare()
        except CdcError as error:
            outcome.unproven = error.line
            return
        problems = [f"{t.name}: {t.problem}" for t in outcome.proof if t.problem]
        outcome.unproven = " ".join(problems)

    def _verify(self, target: Target) -> list[TableOutcome]:
        request = ProofRequest(full=True, source=self._source.name)
        [proven] = prove(self._config, target, request, wait=self._stop.wait).sources
        if proven.problem:
            raise CdcError(proven.problem)
        return proven.tables

    @contextmanager
    def _locked(self) -> Iterator[None]:
        surroundings.check_owner(self._source.path)
        described = self._asked().description
        lock = SourceLock.acquire(self._source.path, command=COMMAND, target=described)
        try:
            yield
        finally:
            lock.release()

    def _asked(self) -> Target:
        if self._target is None:
            raise TargetUnavailable("PostgreSQL cannot be asked")
        return self._target

    def _known(self) -> list[state.CapturedTable]:
        """The live targets, whose mapping a replay of the same shape gets."""
        if self._target is None:
            return []
        with self._target.lease() as conn:
            if state.identity(conn) is None:
                return []
            return state.captured_tables(conn, self._source.name)

    def _boundary_before(self, seq: int) -> int | None:
        if self._target is None:
            return None
        with self._target.lease() as conn:
            if state.identity(conn) is None:
                return None
            return state.boundary_before(conn, self._source.name, seq)


def _outcome(store: Store, plan: Plan) -> ReplayOutcome:
    return ReplayOutcome(
        name=store.source.name,
        log_id=store.log_id,
        goal=plan.goal,
        tables=tuple(sorted(table.name for table in plan.tables)),
        unknown=plan.unknown,
        events=plan.events,
        archived=max(0, min(store.archived, plan.goal.seq) - plan.start),
        baselines=len(plan.baselines),
        rows=plan.rows,
        missing=store.missing,
    )
