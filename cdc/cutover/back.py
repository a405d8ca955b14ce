"""The way back: PostgreSQL closed, drained and proven, then SQLite open again.

Every row is compared while PostgreSQL still takes writes, and what was written meanwhile right
before it is closed, so that what is left to compare then does not grow with the data.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from cdc.config import Config
from cdc.crossing.pairs import pairs
from cdc.cutover import behind, files, recovery
from cdc.cutover.atrest import AtRest
from cdc.cutover.intent import LocalJournal
from cdc.cutover.passing import pass_over
from cdc.cutover.phases import BACK, STOPPED, Aborted, Clock, Report, left_midway, unseen
from cdc.cutover.records import records_of, unproven_words, verdict_words
from cdc.cutover.recovery import InDoubt, Settled
from cdc.cutover.turning import turned
from cdc.errors import CdcError, TargetError, TargetUnavailable
from cdc.pipeline.progress import SourceState
from cdc.postgres import queue, reverse, sequences, state, switches
from cdc.postgres.connection import Target
from cdc.postgres.gate import read_gate
from cdc.proof.following import LogGone, TooFarBehind
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.sqlite.connection import SourceFile

POLL_SECONDS: Final = 0.02

MOST_NAMED: Final = 3
"""Rows that SQLite could not hold, in a message."""


class Rollback:
    """One run of the way back. `tell` hears in words what begins, `at` each state that is reached:
    begun, closed, drained, proven, intended, switched, given back, open.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        journal: LocalJournal,
        *,
        tell: Callable[[str], object] = unseen,
        at: Callable[[str], object] = unseen,
        cause: str = "",
    ) -> None:
        """`cause` is why it is begun, where no operator has asked for it."""
        self._config = config
        self._target = target
        self._journal = journal
        self._tell = tell
        self._at = at
        self.report = Report(uuid4().hex, "back", cause=cause)
        self._records = records_of(config)
        self._clock = Clock(self.report, target, dict(BACK), tell=tell, keep=self._records.save)
        self._begun = False
        self._closed_at: float | None = None

    def run(self) -> Report:
        """Go back to SQLite, or say why not. As `Cutover.run`, in the other direction."""
        try:
            return self._run()
        finally:
            self.report.end()
            self._records.save(self.report)

    def _run(self) -> Report:
        report = self.report
        earlier: Settled | None = None
        try:
            earlier = recovery.settle(self._config, self._target, self._journal)
            if earlier is None or earlier.undone:
                self._go_back()
        except InDoubt as error:
            report.outcome, report.reason = "in_doubt", error.line
            return report
        except CdcError as error:
            return self._abort(error)
        except KeyboardInterrupt:
            return self._abort(Aborted(STOPPED))
        if earlier is None or earlier.undone:
            return self._go_on()
        return self._after(earlier)

    def _go_back(self) -> None:
        """All that leads to the switch, and the switch."""
        epoch = self._check()
        with AtRest(self._config, self._target, "back") as at_rest:
            few = self._look_while_open(at_rest)
            self._stop()
            if few:
                self._settle(at_rest)
            self._close(epoch)
            self._drain()
            self._prove(at_rest if few else None)
        self._switch(epoch)

    def end(self, earlier: Settled) -> Report:
        """End an earlier run, of its own direction, and begin none."""
        try:
            return self._after(earlier)
        finally:
            self.report.end()
            self._records.save(self.report)

    def _after(self, earlier: Settled) -> Report:
        if earlier.undone:
            self._records.take_over(self.report, earlier.run)
            return behind.undone(self._config, self.report, earlier)
        if earlier.direction == "forward":
            self.report.reason = "a cutover has switched and has yet to end: run cdc cutover first"
            return self.report
        if earlier.direction == "end":
            self.report.reason = "there is no way back any more: run cdc finish again"
            return self.report
        self._records.take_over(self.report, earlier.run)
        return self._go_on()

    def _check(self) -> int:
        """Whether there is a way back now; the gate's epoch."""
        with (
            self._clock.phase("preflight", "looking whether there is a way back"),
            self._target.lease() as conn,
        ):
            gate = read_gate(conn)
            last = switches.last(conn, "forward")
            if not gate.open or last is None or last.switched_at is None:
                raise Aborted("SQLite is the master: there is nothing to go back from")
            hours = self._config.cutover.rollback_hours
            if datetime.now(UTC) - last.switched_at > timedelta(hours=hours):
                raise Aborted(
                    f"the switch was at {last.switched_at:%Y-%m-%d %H:%M} UTC, more than {hours:g}"
                    " hours ago",
                    hint="rollback_hours in [cutover] says for how long there is a way back.",
                )
            for source in self._config.sources:
                self._check_rows(reverse.quarantined(conn, source.name))
            self._check_daemon()
        self._clock.check("preflight")
        return gate.epoch

    def _check_daemon(self) -> None:
        lags = turned(self._config, self._target, SourceState.RETURNING)
        still = [e.name for e in lags if e.holder is None or e.state != SourceState.RETURNING]
        if still:
            raise Aborted(
                f"nobody brings PostgreSQL's writes back for {', '.join(still)}",
                hint="Start cdc run, and wait until cdc status says returning.",
            )

    def _check_rows(self, rows: list[reverse.QuarantinedRow]) -> None:
        if rows:
            named = "; ".join(f"{r.name} {r.key}: {r.reason}" for r in rows[:MOST_NAMED])
            raise Aborted(
                f"SQLite could not hold {len(rows)} rows of {rows[0].source}: {named}",
                hint="Change them in PostgreSQL into what SQLite can hold: cdc.reverse_quarantine"
                " names them all.",
            )

    def _look_while_open(self, at_rest: AtRest) -> bool:
        """Compare every row; whether that leaves few enough to be compared with all closed."""
        with self._clock.phase("proof", "comparing every row while PostgreSQL goes on"):
            try:
                few = at_rest.look_while_open()
            except (LogGone, TooFarBehind):
                few = False
        self._clock.check("proof")
        return few

    def _stop(self) -> None:
        with self._clock.phase("stop", "running the stop hooks"):
            if wrong := behind.run_hooks(self._config, self.report, "stop"):
                raise Aborted("; ".join(wrong))
        self._clock.check("stop")

    def _settle(self, at_rest: AtRest) -> None:
        """What was written while every row was compared, and while the hooks ran."""
        with self._clock.phase("proof", "comparing what was written meanwhile"):
            at_rest.settle()
        self._clock.check("proof")

    def _close(self, epoch: int) -> None:
        with self._clock.phase("close", "closing PostgreSQL"), self._target.lease() as conn:
            switches.begin(conn, self.report.run, "back", epoch)
            self._begun = True
            self._at("begun")
            self._closed_at = time.monotonic()
            switches.close(conn, epoch, wait_seconds=BACK["close"])
        self._at("closed")

    def _drain(self) -> None:
        """Wait until SQLite has all rows, and the position is past the events that they left."""
        with self._clock.phase("drain", "bringing the last writes back to SQLite"):
            end = time.monotonic() + BACK["drain"]
            while not self._drained():
                if time.monotonic() > end:
                    raise Aborted(
                        f"the daemon did not bring all writes back within {BACK['drain']:g} s",
                        hint="See cdc status: is it running?",
                    )
                self._at("draining")
                time.sleep(POLL_SECONDS)
            with self._target.lease() as conn:
                for source in self._config.sources:
                    pass_over(conn, source)
                known = state.sources(conn)
                self.report.positions = {each.name: each.applied_seq for each in known}
                for source in self._config.sources:
                    self._check_rows(reverse.quarantined(conn, source.name))
        self._at("drained")

    def _drained(self) -> bool:
        with self._target.lease() as conn:
            return not any(queue.waiting(conn, source.name) for source in self._config.sources)

    def _prove(self, at_rest: AtRest | None) -> None:
        """Both sides stand still: whatever differs now would be lost.

        Without `at_rest` there is too much to compare it key by key: then all is, once more.
        """
        with self._clock.phase("compare", "proving that SQLite has it all"):
            if at_rest is not None:
                at_rest.check(BACK["compare"])
                self.report.proofs.append(
                    "every row was compared while PostgreSQL went on, and"
                    f" {at_rest.compared:,} once more after"
                )
            elif not (verdict := prove(self._config, self._target, Request())).converged:
                raise Aborted(
                    unproven_words(verdict), hint="PostgreSQL goes on. See cdc.reverse_quarantine."
                )
            else:
                self.report.proofs += verdict_words(verdict)
        self._clock.check("compare")
        self._at("proven")

    def _switch(self, epoch: int) -> None:
        with self._clock.phase("switch", "switching"):
            self._journal.write(self.report.run, "back", epoch)
            self._at("intended")
            try:
                with self._target.lease() as conn:
                    switches.switch_back(conn, self.report.run)
            except TargetUnavailable as error:
                reason = f"PostgreSQL was lost in the switch: {error}"
                if recovery.decide(self._target, self._journal, self.report.run, reason) == (
                    "aborted"
                ):
                    raise
        self._at("switched")

    def _abort(self, error: CdcError) -> Report:
        """PostgreSQL goes on."""
        report = self.report
        report.outcome, report.reason = "aborted", error.line
        self._tell(f"giving up: {error}")
        if self._begun:
            try:
                outcome = recovery.decide(self._target, self._journal, report.run, error.line)
            except (InDoubt, TargetError) as again:
                report.outcome, report.reason = "in_doubt", f"{error.line}; {again.line}"
                return report
            if outcome != "aborted":
                return self._go_on()
            self._journal.clear()
        if report.stopped:
            report.trouble += behind.run_hooks(self._config, report, "start")
        report.trouble += behind.run_hooks(self._config, report, "notify")
        return report

    def _go_on(self) -> Report:
        """What follows the switch, from wherever an earlier run has left it."""
        try:
            return self._follow_up()
        except KeyboardInterrupt:
            return left_midway(self.report, "cdc rollback")

    def _follow_up(self) -> Report:
        report = self.report
        report.outcome = "in_doubt"
        report.reason = "SQLite is the master, but not every file is open"
        try:
            files.give_back(self._config, None, self._numbers())
        except CdcError as error:
            report.reason += f": {error.line}"
            return report
        behind.forget_intent(self._journal, report)
        report.outcome, report.reason = "rolled_back", ""
        if self._closed_at is not None:
            report.freeze_seconds = time.monotonic() - self._closed_at
        self._at("given back")
        with self._clock.phase("start", "changing the environment, running the start hooks"):
            values = self._config.cutover.env_rolled_back
            behind.set_environment(self._config, report, values)
            report.trouble += behind.run_hooks(self._config, report, "start")
        report.reason = "; ".join(report.trouble)
        self._end()
        report.opened_after = behind.openers_now(self._config)
        report.trouble += behind.run_hooks(self._config, report, "notify")
        return report

    def _numbers(self) -> Mapping[str, Mapping[str, int]]:
        """The last numbers that PostgreSQL has given to rows, by source and table."""
        given = {}
        with self._target.lease() as conn:
            for source in self._config.sources:
                with SourceFile(source.path) as file:
                    tables = [pair.mapped for pair in pairs(conn, file, source.name)]
                behind_keys = sequences.of_tables(conn, tables)
                last = sequences.last_values(conn, behind_keys.values())
                given[source.name] = {t: last[s] for t, s in behind_keys.items() if s in last}
        return given

    def _end(self) -> None:
        report = self.report
        try:
            with self._target.lease() as conn:
                switches.finish(
                    conn, report.run, reason=report.reason, freeze_seconds=report.freeze_seconds
                )
        except TargetError as error:
            report.trouble.append(f"{error.line} (run cdc rollback again)")
        else:
            self._at("open")
