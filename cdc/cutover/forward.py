"""The cutover: from the gates to the moment at which PostgreSQL is open."""

import time
from collections.abc import Callable, Mapping
from uuid import uuid4

from cdc.config import Config
from cdc.cutover import behind, files, gates, late_references, recovery
from cdc.cutover.atrest import AtRest
from cdc.cutover.freezing import Freezing
from cdc.cutover.intent import LocalJournal
from cdc.cutover.parentage import Parentage
from cdc.cutover.phases import (
    FAST,
    STANDARD,
    STOPPED,
    Aborted,
    Clock,
    Report,
    left_midway,
    unseen,
)
from cdc.cutover.records import records_of, unproven_words, verdict_words
from cdc.cutover.recovery import InDoubt, Settled
from cdc.cutover.turning import turned
from cdc.errors import CdcError, SourceError, TargetError, TargetUnavailable
from cdc.pipeline.progress import SourceState
from cdc.postgres import switches
from cdc.postgres.connection import Target
from cdc.postgres.gate import read_gate
from cdc.proof.request import Request
from cdc.proof.sources import prove


class Cutover:
    """One run of the cutover. `tell` hears in words what begins, `at` each state that is reached:
    begun, looked, held, drained, proven, intended, sealed, switched, validated, open.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        journal: LocalJournal,
        *,
        tell: Callable[[str], object] = unseen,
        at: Callable[[str], object] = unseen,
    ) -> None:
        self._config = config
        self._target = target
        self._journal = journal
        self._tell = tell
        self._at = at
        self.report = Report(uuid4().hex, "forward")
        self._records = records_of(config)
        budgets = FAST if config.cutover.path == "fast" else STANDARD
        self._clock = Clock(self.report, target, dict(budgets), tell=tell, keep=self._records.save)
        self._epoch: int | None = None
        self._first_held = 0.0

    def run(self) -> Report:
        """Switch to PostgreSQL, or say why not. What stands in the way ends up in the report.

        An earlier run that died is ended first: one that has switched goes on here.
        """
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
            if earlier is None:
                self._go_forward()
        except InDoubt as error:
            report.outcome, report.reason = "in_doubt", error.line
            return report
        except CdcError as error:
            return self._abort(error)
        except KeyboardInterrupt:
            return self._abort(Aborted(STOPPED))
        return self._go_on() if earlier is None else self._after(earlier)

    def _go_forward(self) -> None:
        """All that leads to the switch, and the switch."""
        self._check_gates()
        with AtRest(self._config, self._target) as at_rest:
            parentage = self._prove()
            sequences = self._freeze(at_rest, parentage)
            self._switch(sequences)

    def end(self, earlier: Settled) -> Report:
        """End an earlier run, of its own direction, and begin none."""
        try:
            return self._after(earlier)
        finally:
            self.report.end()
            self._records.save(self.report)

    def _after(self, earlier: Settled) -> Report:
        report = self.report
        if earlier.undone:
            self._records.take_over(report, earlier.run)
            return behind.undone(self._config, report, earlier)
        if earlier.direction == "back":
            report.reason = "a rollback has switched and has yet to end: run cdc rollback again"
            return report
        if earlier.direction == "end":
            report.reason = "the way back is being given up for good: run cdc finish again"
            return report
        self._records.take_over(report, earlier.run)
        return self._go_on()

    def _check_master(self) -> None:
        """Said at once: the other gates would wait for what does not come."""
        with self._target.lease() as conn:
            if read_gate(conn).open:
                raise Aborted("PostgreSQL is the master already", hint="cdc rollback goes back.")

    def _check_gates(self) -> None:
        with self._clock.phase("preflight", "looking at the gates"):
            self._check_master()
            # Where a run before this one was undone just now, the daemon turns round in a moment.
            turned(self._config, self._target, SourceState.TAILING)
            self.report.gates = gates.look(self._config, self._target)
            self.report.opened_before = behind.openers_now(self._config)
        failed = [gate.name for gate in self.report.gates if not gate.passed]
        if failed:
            raise Aborted(
                f"these gates do not pass: {', '.join(failed)}",
                hint="cdc cutover --dry-run shows why, and what to do.",
            )
        self._clock.check("preflight")
        with self._clock.phase("stop", "running the stop hooks"):
            if wrong := behind.run_hooks(self._config, self.report, "stop"):
                raise Aborted("; ".join(wrong))
        self._clock.check("stop")

    def _prove(self) -> Parentage:
        """Compare all that changed since the last proof, so that the hold need not."""
        with self._clock.phase("proof", "proving what changed since the last proof"):
            parentage = Parentage(self._config, self._target)
            parentage.settle()
            verdict = prove(self._config, self._target, Request())
            if not verdict.converged:
                raise Aborted(unproven_words(verdict), hint="Run cdc verify: it names the rows.")
            self.report.proofs += verdict_words(verdict)
        self._clock.check("proof")
        return parentage

    def _freeze(self, at_rest: AtRest, parentage: Parentage) -> Mapping[str, int]:
        with self._target.lease() as conn:
            epoch = self._epoch = read_gate(conn).epoch
            switches.begin(conn, self.report.run, "forward", epoch)
        self._at("begun")
        freezing = Freezing(
            self._config, self._target, at_rest, parentage, report=self.report, at=self._at
        )
        with self._clock.phase("freeze", "holding the files, draining, proving, sealing"):
            used = freezing.seal(epoch, files.REASON, self._record_intent)
        self._first_held = freezing.first_held or time.monotonic()
        self._at("sealed")
        return used

    def _record_intent(self) -> None:
        assert self._epoch is not None
        self._journal.write(self.report.run, "forward", self._epoch)
        self._at("intended")

    def _switch(self, sequences: Mapping[str, int]) -> None:
        assert self._epoch is not None
        with self._clock.phase("switch", "switching"):
            try:
                with self._target.lease() as conn:
                    switches.switch_forward(conn, self.report.run, self._epoch, sequences)
            except TargetUnavailable as error:
                reason = f"PostgreSQL was lost in the switch: {error}"
                if recovery.decide(self._target, self._journal, self.report.run, reason) == (
                    "aborted"
                ):
                    raise
        self.report.freeze_seconds = time.monotonic() - self._first_held
        self._at("switched")

    def _abort(self, error: CdcError) -> Report:
        """Give everything back to the legacy system."""
        report = self.report
        report.outcome, report.reason = "aborted", error.line
        self._tell(f"giving up: {error}")
        if self._epoch is not None:
            try:
                state = recovery.decide(self._target, self._journal, report.run, error.line)
                if state != "aborted":
                    return self._go_on()
                recovery.undo(self._config, self._journal, "forward", self._epoch)
            except (InDoubt, TargetError, SourceError) as again:
                return self._not_undone(error, again)
        if report.stopped:
            report.trouble += behind.run_hooks(self._config, report, "start")
        report.trouble += behind.run_hooks(self._config, report, "notify")
        return report

    def _not_undone(self, error: CdcError, again: CdcError) -> Report:
        """Without an intent on record nothing was sealed, whatever PostgreSQL says later."""
        report = self.report
        if self._journal.read() is None:
            report.trouble.append(f"the journal in PostgreSQL: {again.line}")
            if report.stopped:
                report.trouble += behind.run_hooks(self._config, report, "start")
        else:
            report.outcome = "in_doubt"
            report.reason = f"{error.line}; {again.line}"
        return report

    def _go_on(self) -> Report:
        """What follows the switch, from wherever an earlier run has left it."""
        try:
            return self._follow_up()
        except KeyboardInterrupt:
            return left_midway(self.report, "cdc cutover")

    def _follow_up(self) -> Report:
        report = self.report
        report.outcome = "switched"
        behind.forget_intent(self._journal, report)
        settings = self._config.cutover
        with self._clock.phase("start", "changing the environment, running the start hooks"):
            behind.set_environment(self._config, report, settings.env_switched)
            report.trouble += behind.run_hooks(self._config, report, "start")
        with self._clock.phase("validate", "running the regression hooks"):
            wrong = behind.run_hooks(self._config, report, "regression")
            report.trouble += wrong
            if not wrong:
                behind.set_environment(self._config, report, settings.env_open)
        self._at("validated")
        self._make_late_references()
        report.reason = "; ".join(report.trouble)
        self._end()
        report.opened_after = behind.openers_now(self._config)
        report.trouble += behind.run_hooks(self._config, report, "notify")
        return report

    def _make_late_references(self) -> None:
        """Where the role could not have them before; the services are at work by now."""
        try:
            keys = late_references.waiting(self._config, self._target)
            if keys:
                with self._clock.phase("references", "making the foreign keys that had to wait"):
                    made = [late_references.make(self._target, key) for key in keys]
                    self.report.trouble += filter(None, made)
        except CdcError as error:
            self.report.trouble.append(f"foreign keys: {error.line} (run cdc cutover again)")

    def _end(self) -> None:
        try:
            with self._target.lease() as conn:
                switches.finish(
                    conn,
                    self.report.run,
                    reason=self.report.reason,
                    freeze_seconds=self.report.freeze_seconds,
                )
        except TargetError as error:
            self.report.trouble.append(f"{error.line} (run cdc cutover again)")
        else:
            self._at("open")
