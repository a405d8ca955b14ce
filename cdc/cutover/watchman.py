"""What the daemon does for a cutover beside bringing rows: it ends what died, and minds the health.

A command holds the local journal from its first step to its last. Whoever gets that lock beside a
run that has not ended knows that its process is gone. So the watchman and a command never work on
one run, and the watchman begins nothing by itself but the rollback that the operator has asked for
in the configuration.
"""

import logging
import threading
import time
from typing import Final

from cdc.config import Config
from cdc.cutover import files, health, recovery
from cdc.cutover.back import Rollback
from cdc.cutover.forward import Cutover
from cdc.cutover.health import Health
from cdc.cutover.intent import CutoverBusy, LocalJournal, local_journal
from cdc.cutover.phases import Aborted, Report
from cdc.cutover.vigil import Vigil
from cdc.errors import CdcError, TargetError
from cdc.logs import fields
from cdc.postgres import state, switches
from cdc.postgres.connection import Target
from cdc.postgres.switches import Switch
from cdc.stop import Stop

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0

GRACE_SECONDS: Final = 5.0
"""For a rollback under way, once the daemon is to end. Then its connections are cut, and the next
daemon, or command, undoes it."""

_BEFORE_SWITCH: Final = ("begun", "closed", "draining", "drained", "proven")

CAUSE: Final = "automatic rollback: "


class Watchman:
    """For a thread of its own, which `run` is. `target` is nobody else's: a phase of a rollback
    that exceeds its budget breaks all its connections.
    """

    def __init__(self, config: Config, target: Target, stop: Stop) -> None:
        self._config = config
        self._target = target
        self._stop = stop
        self._vigil = Vigil(config.cutover)
        self._dead_since: float | None = None
        self._next_look = 0.0
        self._last: Health | None = None
        self._switch: Switch | None = None
        self._told = ""

    def run(self) -> None:
        """Look about once a second until the stop is asked for."""
        self._stop.on_ask(self._end_grace)
        while not self._stop.wait(TICK_SECONDS):
            for duty in (self.end_what_died, self.watch):
                try:
                    duty()
                except CdcError as error:
                    self._tell(error)
                except Exception:
                    # A thread has nobody to raise to, and the next look may be a better one.
                    log.exception(
                        "The watch over the cutover failed; it goes on.",
                        extra=fields("watch_failed"),
                    )

    def end_what_died(self) -> Report | None:
        """End or undo a run whose command died, once that is so for long enough; its report.

        Raises InDoubt while nobody can tell what has become of it; TargetError, SourceError.
        """
        patience = self._config.cutover.takeover_seconds
        if not patience or not self._unfinished():
            self._dead_since = None
            return None
        try:
            with local_journal(self._config) as journal:
                self._dead_since = self._dead_since or time.monotonic()
                if time.monotonic() < self._dead_since + patience:
                    return None
                return self._take_over(journal)
        except CutoverBusy:
            self._dead_since = None  # it is alive
            return None

    def watch(self) -> Report | None:
        """Look at the health where that is due, while PostgreSQL is master; go back where that is
        decided, and then return what came of it.
        """
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + self._config.health.look_seconds
        if all(stand.finished_at for stand in files.armed(self._config).values()):
            self._last = None
            return None
        before = None if self._last is None else self._last.counted
        found = health.look(self._config, self._target, before)
        if found.counted is not None:
            health.keep(self._config, self._target, found)
            with self._target.lease() as conn:
                self._switch = switches.last(conn, "forward")
        self._report(found)
        self._vigil.hear(found, self._switch)
        if not self._vigil.goes_back:
            return None
        if found.counted is None:
            # Without PostgreSQL there is no way back that loses nothing: wait for it.
            log.error("Going back waits for PostgreSQL.", extra=fields("rollback_postponed"))
            return None
        return self._go_back()

    def _unfinished(self) -> bool:
        """Whether there is a run that has not ended, alive or dead."""
        if recovery.has_intent(self._config):
            return True
        with self._target.lease() as conn:
            known = state.identity(conn)
            if known is None or known.version < switches.SINCE_VERSION:
                return False
            last = switches.last(conn)
        # The end of the way back ends the daemon, too: the command, run again, does the rest.
        return last is not None and last.unfinished and last.direction != "end"

    def _take_over(self, journal: LocalJournal) -> Report | None:
        earlier = recovery.settle(self._config, self._target, journal)
        self._dead_since = None
        if earlier is None:
            return None
        kind = Cutover if earlier.direction == "forward" else Rollback
        report = kind(self._config, self._target, journal, tell=_log_phase).end(earlier)
        log.warning(
            "The command of %s run %s had died: %s. %s",
            "a cutover" if earlier.direction == "forward" else "a rollback",
            report.run,
            "it was undone" if earlier.undone else f"it was ended: {report.outcome}",
            report.reason,
            extra=fields("taken_over", run=report.run, outcome=report.outcome),
        )
        return report

    def _go_back(self) -> Report | None:
        cause = CAUSE + self._vigil.decided
        log.error("Going back to SQLite: %s", cause, extra=fields("rollback_begun"))
        try:
            with local_journal(self._config) as journal:
                report = Rollback(
                    self._config,
                    self._target,
                    journal,
                    tell=_log_phase,
                    at=self._unless_stopped,
                    cause=cause,
                ).run()
        except CutoverBusy as error:
            log.warning("%s", error.line, extra=fields("rollback_postponed"))
            return None
        if report.outcome == "aborted" and report.stopped:
            self._vigil.give_up()
        log.error(
            "The automatic rollback ended: %s. %s",
            report.outcome,
            report.reason,
            extra=fields("rollback_ended", run=report.run, outcome=report.outcome),
        )
        return report

    def _unless_stopped(self, state: str) -> None:
        """A daemon that is to end begins no switch; once that is made, the rest is done."""
        if self._stop.asked and state in _BEFORE_SWITCH:
            raise Aborted("the daemon was asked to stop", hint="Run cdc rollback.")

    def _end_grace(self) -> None:
        """What is under way when the daemon stops has a moment to come to a good end."""
        timer = threading.Timer(GRACE_SECONDS, self._target.abandon)
        timer.daemon = True
        timer.start()

    def _report(self, found: Health) -> None:
        before = self._last
        self._last = found
        if not found.passed:
            log.error("The health FAILs: %s", found.failures, extra=fields("health_failed"))
        elif before is not None and not before.passed:
            log.info("The health passes again.", extra=fields("health_passed"))

    def _tell(self, error: CdcError) -> None:
        """Say what stands in the way, once as long as it is the same."""
        if error.line != self._told:
            self._told = error.line
            level = logging.DEBUG if isinstance(error, TargetError) else logging.WARNING
            log.log(level, "%s", error.line, extra=fields("watch_postponed"))


def _log_phase(words: str) -> None:
    log.info("%s", words, extra=fields("phase"))
