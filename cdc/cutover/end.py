"""The end of the way back: PostgreSQL is master for good, and free of all that served the move.

The SQLite files stay frozen: they are what the old system was at its end, and a service that nobody
has moved must not write to them unnoticed. What is recorded of them stays, too.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from cdc.config import Config
from cdc.cutover import files, recovery
from cdc.cutover.intent import LocalJournal
from cdc.cutover.phases import END, Aborted, Clock, Report, left_midway, unseen
from cdc.cutover.records import records_of
from cdc.cutover.recovery import InDoubt
from cdc.errors import CdcError, Finished, TargetError, TargetUnavailable
from cdc.pipeline.lag import SourceLag, measure
from cdc.pipeline.progress import SourceState
from cdc.postgres import state, switches
from cdc.postgres.connection import Target
from cdc.postgres.gate import read_gate
from cdc.postgres.release import Released, release
from cdc.postgres.switches import Switch
from cdc.proof.request import Request
from cdc.proof.sources import prove
from cdc.sqlite.direction import Direction

DRAIN_SECONDS: Final = 30.0
"""For what is in the queue to be brought back, before that counts as not happening."""

POLL_SECONDS: Final = 0.1


@dataclass(slots=True)
class Ending:
    """What the end came to, for the operator.

    `opened_at` (UTC) is when the way back was opened by the cutover, `at` when it was given up.
    `stands` is how far each file was brought, by source; `given_up` names what SQLite does not
    have, where the operator has accepted that.
    """

    opened_at: datetime | None = None
    at: datetime | None = None
    stands: Mapping[str, Direction] = field(default_factory=dict)
    released: Released = field(default_factory=Released)
    given_up: list[str] = field(default_factory=list)

    @property
    def open_seconds(self) -> float | None:
        """For how long there was a way back."""
        if self.opened_at is None or self.at is None:
            return None
        return (self.at - self.opened_at).total_seconds()


def hours_left(config: Config, target: Target) -> float | None:
    """For how many hours a rollback would still be possible; None where PostgreSQL is not master,
    or is that for good already.
    """
    with target.lease() as conn:
        known = state.identity(conn)
        if known is None or known.version < switches.SINCE_VERSION:
            return None
        if switches.finished(conn) is not None or not read_gate(conn).open:
            return None
        last = switches.last(conn, "forward")
    if last is None or last.switched_at is None:
        return None
    until = last.switched_at + timedelta(hours=config.cutover.rollback_hours)
    return max(0.0, (until - datetime.now(UTC)).total_seconds() / 3600)


class Finish:
    """One run of the end. `tell` hears in words what begins, `at` each state that is reached:
    begun, ended, sealed, released, open.

    With `abandon` it goes through although SQLite does not have all that PostgreSQL has.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        journal: LocalJournal,
        *,
        abandon: bool = False,
        tell: Callable[[str], object] = unseen,
        at: Callable[[str], object] = unseen,
    ) -> None:
        self._config = config
        self._target = target
        self._journal = journal
        self._abandon = abandon
        self._at = at
        self.report = Report(uuid4().hex, "end")
        self._records = records_of(config)
        self.ending = Ending()
        self._clock = Clock(self.report, target, dict(END), tell=tell, keep=self._records.save)

    def run(self) -> Report:
        """Give up the way back for good, or say why not; where that is done, say so again.

        An earlier run that died is ended. Until `ended` nothing is given up.
        """
        try:
            return self._run()
        finally:
            self.report.end()
            self._records.save(self.report)

    def _run(self) -> Report:
        report = self.report
        try:
            earlier = recovery.settle(self._config, self._target, self._journal)
            if earlier is not None and not earlier.undone and earlier.direction != "end":
                other = "cutover" if earlier.direction == "forward" else "rollback"
                report.reason = f"a {other} has switched and has yet to end: run cdc {other} first"
                return report
            if earlier is None or earlier.undone:
                self._check()
                self._end()
            else:
                self._records.take_over(report, earlier.run)
            self._go_on()
        except Finished:
            self._was_finished()
        except InDoubt as error:
            report.outcome, report.reason = "in_doubt", error.line
        except CdcError as error:
            report.reason = error.line
        except KeyboardInterrupt:
            left_midway(report, "cdc finish")
        return report

    def _check(self) -> None:
        """Whether PostgreSQL is master, and SQLite has all of it at this moment."""
        with self._clock.phase("preflight", "looking whether all has come back to SQLite"):
            with self._target.lease() as conn:
                last = switches.last(conn, "forward")
                if not read_gate(conn).open or last is None:
                    raise Aborted("SQLite is the master: there is no way back to be given up")
            lacking = self._lacking()
        if not lacking:
            with self._clock.phase("proof", "proving that SQLite has it all"):
                verdict = prove(self._config, self._target, Request(full=True))
            lacking = [
                f"{each.name}: {each.problem or 'its rows are not proven equal'}"
                for each in verdict.sources
                if not each.converged
            ]
        if lacking and not self._abandon:
            raise Aborted(
                f"SQLite does not have all that PostgreSQL has: {'; '.join(lacking)}",
                hint="Mend that first: cdc status and cdc verify show it. With --abandon the way"
                " back is given up as it is.",
            )
        self.ending.given_up = lacking

    def _lacking(self) -> list[str]:
        """What SQLite does not have, or nobody can tell; waits a little for what is on its way."""
        end = time.monotonic() + DRAIN_SECONDS
        while True:
            try:
                lags = measure(self._config, self._target)
            except TargetError:
                raise
            except CdcError as error:
                return [error.line]
            wrong = [words for each in lags if (words := self._wrong(each))]
            waiting = any(each.lag_events for each in lags)
            if not wrong or not waiting or time.monotonic() > end or self._abandon:
                return wrong
            time.sleep(POLL_SECONDS)

    def _wrong(self, lag: SourceLag) -> str:
        limits = self._config.cutover
        if lag.left_behind:
            return f"{lag.name}: it could not hold {lag.left_behind:,} rows"
        if lag.holder is None or lag.state != SourceState.RETURNING:
            return f"{lag.name}: nobody brings rows back, it is {lag.state}"
        if lag.lag_events > limits.max_lag_events or lag.lag_seconds > limits.max_lag_seconds:
            return f"{lag.name}: {lag.lag_events:,} rows are still to be brought back"
        return ""

    def _end(self) -> None:
        """From here on there is no way back."""
        run = self.report.run
        with self._clock.phase("end", "giving up the way back"):
            with self._target.lease() as conn:
                switches.begin(conn, run, "end", read_gate(conn).epoch)
            self._at("begun")
            try:
                with self._target.lease() as conn:
                    switches.end_way_back(conn, run, "; ".join(self.ending.given_up))
            except TargetUnavailable as error:
                reason = f"PostgreSQL was lost at the end: {error}"
                if recovery.decide(self._target, self._journal, run, reason) == "aborted":
                    raise
        self._at("ended")

    def _go_on(self) -> None:
        """What follows, from wherever an earlier run has left it."""
        report = self.report
        report.outcome = "finished"
        with self._clock.phase("files", "closing the files for good"):
            for name, error in files.finish(self._config):
                if error is not None:
                    report.trouble.append(f"{name}: {error.line}")
        self._at("sealed")
        if report.trouble and not self._abandon:
            report.reason = "not every file was closed: run cdc finish again"
            return
        try:
            with (
                self._clock.phase("release", "dropping the guards and the queue"),
                self._target.lease() as conn,
            ):
                self.ending.released = release(conn, patience_seconds=END["release"])
            self._at("released")
            with self._target.lease() as conn:
                switches.finish(conn, report.run, reason=self._summary(), freeze_seconds=None)
        except TargetError as error:
            report.trouble.append(f"{error.line} (run cdc finish again)")
        else:
            self._at("open")
        self._tell_of(self._journalled())

    def _was_finished(self) -> None:
        self.report.outcome = "finished"
        known = self._journalled()
        if known is not None:
            self.report.run = known.run
            self.report.reason = f"that was done before: {known.reason}"
        self._tell_of(known)

    def _journalled(self) -> Switch | None:
        with self._target.lease() as conn:
            return switches.finished(conn)

    def _tell_of(self, end: Switch | None) -> None:
        with self._target.lease() as conn:
            cutover = switches.last(conn, "forward")
        self.ending.opened_at = cutover.switched_at if cutover else None
        self.ending.at = end.switched_at if end else None
        self.ending.stands = _stands(self._config)

    def _summary(self) -> str:
        done = self.ending.released
        words = f"{len(done.tables)} tables released of {done.triggers} triggers"
        return "; ".join([words, *(f"given up: {each}" for each in self.ending.given_up)])


def _stands(config: Config) -> Mapping[str, Direction]:
    """How far each file was brought; of those that can be read."""
    try:
        return files.armed(config)
    except CdcError:
        return {}
