"""One rehearsal, from the copies to the proof that all came back."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cdc.config import Config
from cdc.crossing.pairs import pairs
from cdc.cutover import gates
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.intent import local_journal
from cdc.cutover.phases import Report
from cdc.errors import CdcError, SourceBusy, SourceError, TargetRefused
from cdc.pipeline.lag import SourceLag, measure
from cdc.pipeline.progress import SourceState
from cdc.postgres import exercise, switches
from cdc.postgres.connection import Target
from cdc.postgres.gate import read_gate
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.rehearsal import company, room
from cdc.rehearsal.companion import Companion
from cdc.rehearsal.outcome import Rehearsal, Round
from cdc.rehearsal.scene import Scene, folder_of, scene
from cdc.sqlite import direction, log, replica, surroundings
from cdc.sqlite.connection import SourceFile
from cdc.stop import Stop

ROUNDS: Final = 3
"""How often it goes there and back, so that there is a median."""

ENOUGH_SECONDS: Final = 300.0
"""Once the rounds have taken longer than this together, there is no other one."""

POLL_SECONDS: Final = 0.1

TURN_SECONDS: Final = 60.0
"""For the copies' daemon to turn round, or to bring everything, before that counts as failed."""

WRITTEN_ROWS: Final = 50
"""Rows of each table that are written in PostgreSQL before it goes back."""


class Failed(CdcError):
    """The rehearsal shows that the real thing would not go well."""

    exit_code = 1


class Stopped(CdcError):
    """The rehearsal was asked to end."""

    exit_code = 1


class Play:
    """One rehearsal. `dsn` is that of `target`, the real one; `tell` hears in words what begins."""

    def __init__(
        self, config: Config, target: Target, dsn: str, stop: Stop, tell: Callable[[str], object]
    ) -> None:
        self._config = config
        self._target = target
        self._dsn = dsn
        self._stop = stop
        self._tell = tell
        self.outcome = Rehearsal()

    def run(self) -> Rehearsal:
        """Rehearse. Raises CdcError where that could not even begin; then nothing is left of it."""
        started = time.monotonic()
        self._check()
        self._look()
        try:
            with scene(self._config, self._target, self._dsn) as stage:
                self.outcome.notes += [f"removed what was left of one: {e}" for e in stage.left]
                self._play(stage)
        except Failed as failed:
            self.outcome.reason = failed.line
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _check(self) -> None:
        """Raise where the real system is not one that SQLite is the master of."""
        with self._target.lease() as conn:
            switches.refuse_finished(conn)
        for source in self._config.sources:
            with SourceFile(source.path, only_look=True) as file, file.reading():
                captured, turned = log.read(file) is not None, direction.read(file) is not None
            if not captured:
                raise SourceError(
                    f"{source.path} is not captured yet.",
                    hint="Start cdc run, and wait until cdc status says tailing.",
                )
            if turned:
                raise SourceError(
                    f"{source.path} takes rows from PostgreSQL: there is no cutover to rehearse.",
                    hint="cdc status shows who is the master.",
                )
        with self._target.lease() as conn:
            if read_gate(conn).open:
                raise TargetRefused("PostgreSQL is the master: there is no cutover to rehearse")

    def _look(self) -> None:
        """The real system's gates, and the room that the copies take."""
        self._tell("looking at the gates of the real system, and for room")
        found = self.outcome
        found.gates = gates.look(self._config, self._target, but=("canary",))
        folder = folder_of(self._config)
        found.rooms = room.look(self._config, self._target, folder)
        room.check(found.rooms)
        if away := room.elsewhere(self._config, folder):
            found.notes.append(
                f"{', '.join(away)}: the copies are on another disk than the files; theirs may be"
                " slower or faster"
            )

    def _play(self, stage: Scene) -> None:
        pairs = self._copy(stage)
        seconds = self._config.replication.lock_bound_ms / 1000
        began = time.monotonic()
        with (
            Target(stage.dsn, max_connections=stage.config.postgres.max_connections) as target,
            Companion(company.run_daemon, stage.config, stage.dsn) as daemon,
            Companion(company.write, pairs, seconds) as writers,
        ):
            hands = _Hands(stage.config, target, [daemon, writers], self._stop)
            self._tell("replicating the copies, with the load of the real system on them")
            hands.wait(_tailing, None)
            self.outcome.live_seconds = time.monotonic() - began
            try:
                self._rounds(stage, target, hands)
            finally:
                self.outcome.load = writers.stop() or {}
                self.outcome.load_seconds = time.monotonic() - began
                self._note_load()
            daemon.stop()

    def _copy(self, stage: Scene) -> list[tuple[str, Path, Path, int]]:
        """Copy every file beside its writers; what `company.write` wants to know."""
        copies = []
        for real, copy in zip(self._config.sources, stage.config.sources, strict=True):
            self._tell(f"copying {real.name}")
            started = time.monotonic()
            with SourceFile(real.path, only_look=True) as file:
                made = replica.make(
                    file,
                    copy.path,
                    lock_bound_seconds=self._config.replication.lock_bound_ms / 1000,
                    log_from=None,
                    stopped=lambda: self._stop.asked,
                )
                mode = surroundings.journal_mode(file)
            if made is None:
                raise Stopped("The rehearsal was stopped; nothing is left of it.")
            with SourceFile(copy.path) as file:
                file.query(f"PRAGMA journal_mode = {mode}").fetchall()
            if made.unsettled:
                tables = ", ".join(made.unsettled)
                self.outcome.notes.append(f"{real.name}: copied at no single moment: {tables}")
            self.outcome.copy_seconds[real.name] = time.monotonic() - started
            copies.append((real.name, real.path, copy.path, made.end.seq))
        return copies

    def _rounds(self, stage: Scene, target: Target, hands: "_Hands") -> None:
        self._prove(stage, target)
        began = time.monotonic()
        for number in range(1, ROUNDS + 1):
            if number > 1 and time.monotonic() - began > ENOUGH_SECONDS:
                return
            this = Round()
            self.outcome.rounds.append(this)
            self._there(stage, target, this, number)
            hands.wait(_returning, TURN_SECONDS)
            this.written = self._write(stage, target)
            hands.wait(_drained, TURN_SECONDS)
            self._back(stage, target, this, number)
            hands.wait(_tailing, TURN_SECONDS)
            self._prove(stage, target)
            this.proven = True

    def _there(self, stage: Scene, target: Target, this: Round, number: int) -> None:
        self._tell(f"round {number}: cutting over")
        with local_journal(stage.config) as journal:
            this.cutover = Cutover(stage.config, target, journal).run()
        found = [line for gate in this.cutover.gates if not gate.passed for line in gate.evidence]
        _require(this.cutover, "switched", "cutover", found)

    def _back(self, stage: Scene, target: Target, this: Round, number: int) -> None:
        self._tell(f"round {number}: rolling back")
        with local_journal(stage.config) as journal:
            this.rollback = Rollback(stage.config, target, journal).run()
        _require(this.rollback, "rolled_back", "rollback", [])

    def _prove(self, stage: Scene, target: Target) -> None:
        self._tell("proving the copies, every row")
        verdict = prove(stage.config, target, Request(full=True), wait=self._stop.wait)
        if self._stop.asked:  # then it says of a proof that was called off that it has failed
            raise Stopped("The rehearsal was stopped; nothing is left of it.")
        if not verdict.converged:
            wrong = [
                f"{source.name}: {source.problem or 'its rows differ'}"
                for source in verdict.sources
                if not source.converged
            ]
            raise Failed(f"the copies are not equal on both sides: {'; '.join(wrong)}")

    def _write(self, stage: Scene, target: Target) -> int:
        """Write to every table of PostgreSQL; how many rows."""
        written = 0
        with target.lease() as conn:
            for source in stage.config.sources:
                with SourceFile(source.path) as file:
                    tables = [pair.mapped for pair in pairs(conn, file, source.name)]
                for table in tables:
                    written += exercise.rewrite(
                        conn, table, WRITTEN_ROWS, anew=bool(target.replica_role)
                    )
        return written

    def _note_load(self) -> None:
        found = self.outcome
        if not sum(load.events for load in found.load.values()):
            found.notes.append("the real system wrote nothing meanwhile: this was without any load")
        for name, load in found.load.items():
            if load.refused:
                found.notes.append(f"{name}: the copy did not take {load.refused:,} events")
            if load.missed:
                found.notes.append(f"{name}: {load.missed:,} events were pruned before their turn")


class _Hands:
    """Waits for the copies' sources to come to a state, as long as everybody is at work."""

    def __init__(
        self, config: Config, target: Target, companions: list[Companion], stop: Stop
    ) -> None:
        self._config = config
        self._target = target
        self._companions = companions
        self._stop = stop

    def wait(self, state: Callable[[Config, SourceLag], bool], seconds: float | None) -> None:
        """Without `seconds` it takes as long as it takes to copy everything."""
        end = None if seconds is None else time.monotonic() + seconds
        lags: list[SourceLag] = []
        while True:
            for companion in self._companions:
                companion.check()
            with suppress(SourceBusy):  # at this moment: it is asked again
                lags = measure(self._config, self._target)
            if lags and all(state(self._config, lag) for lag in lags):
                return
            halted = [f"{e.name}: {e.message}" for e in lags if e.state == SourceState.HALTED]
            halted += [f"{e.name}: {t.name}: {t.reason}" for e in lags for t in e.stopped]
            if halted:
                raise Failed(f"the copies' daemon cannot go on: {'; '.join(halted)}")
            if end is not None and time.monotonic() > end:
                still = ", ".join(f"{e.name} is {e.state}, {e.lag_events:,} behind" for e in lags)
                still = still or "a copy was locked"
                raise Failed(f"the copies' daemon did not get there within {seconds:g} s: {still}")
            if self._stop.wait(POLL_SECONDS):
                raise Stopped("The rehearsal was stopped; nothing is left of it.")


def _tailing(config: Config, lag: SourceLag) -> bool:
    near = lag.lag_events <= config.cutover.max_lag_events
    return lag.state == SourceState.TAILING and lag.settled and near


def _returning(_: Config, lag: SourceLag) -> bool:
    return lag.state == SourceState.RETURNING


def _drained(_: Config, lag: SourceLag) -> bool:
    return lag.state == SourceState.RETURNING and lag.lag_events == 0


def _require(report: Report, wanted: str, what: str, evidence: list[str]) -> None:
    if report.outcome == wanted and report.trouble:
        raise Failed(f"behind the {what} of the copies: {'; '.join(report.trouble)}")
    if report.outcome != wanted:
        raise Failed(
            f"the {what} of the copies came to {report.outcome}:"
            f" {'; '.join([report.reason, *evidence])}"
        )
