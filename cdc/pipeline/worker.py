"""The thread of one source: it replicates until it is told to stop, whatever happens around it.

It does so in the direction that the file names: forward, or back while PostgreSQL is master.
"""

import logging
from collections.abc import Iterator
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random, wait_random_exponential

from cdc.config import Config, SourceConfig
from cdc.crossing.references import references_of
from cdc.errors import (
    CdcError,
    DirectionChanged,
    Finished,
    GateMoved,
    PositionMoved,
    RelationGone,
    SchemaMoved,
    SourceBusy,
    SourceUnavailable,
    TargetError,
    TargetUnavailable,
)
from cdc.logs import fields
from cdc.pipeline.progress import SourceProgress, SourceState
from cdc.pipeline.replicate import Replication
from cdc.pipeline.reverse import POLL_SECONDS, ReverseFlow
from cdc.pipeline.session import Session, SessionEnded, WayBack, open_session
from cdc.postgres import state
from cdc.postgres.connection import Target
from cdc.postgres.requests import Request
from cdc.sqlite.lock import SourceLock
from cdc.stop import LOOKS, Alarm, Stop

log = logging.getLogger(__name__)

PASSING: Final = (
    TargetUnavailable,
    PositionMoved,
    SourceBusy,
    SourceUnavailable,
    SchemaMoved,
    SessionEnded,
    DirectionChanged,
)
"""What may mend itself: tried again for as long as it takes."""

LOOKS_AGAIN: Final = 3
"""How often the source is looked at anew, in a row, when PostgreSQL is not as it was: the gate may
have turned, or a table gone, since it was looked at."""

LONGEST_RETRY_SECONDS: Final = 5.0

MIGRATION_LOOKS: Final = 5
MIGRATION_PAUSE_SECONDS: Final = 0.2
"""A schema that moves while it is looked at is in the middle of a migration: look again soon."""


class SourceWorker:
    """Replicates one source. `open` once, by the caller; then `run`, in a thread of its own."""

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        target: Target,
        stop: Stop,
        bell: Alarm,
        *,
        lock: SourceLock,
    ) -> None:
        self.source = source
        self.progress = SourceProgress(source.name)
        self._config = config
        self._target = target
        self._stop = stop
        self._bell = bell
        self._lock = lock
        self._looked_again = 0
        self._replication: Replication | None = None
        self._reverse: ReverseFlow | None = None
        self._returning = False
        self._recorded: tuple[str, str] | None = None
        self._requests: list[Request] = []
        # One for all steps: each leaves cycles behind when it goes.
        self._retrying = Retrying(
            retry=retry_if_exception_type(PASSING),
            wait=_pause,
            stop=stop_when_event_set(stop.event),
            sleep=sleep_using_event(stop.event),
            before_sleep=self._report_trouble,
            reraise=True,
        )

    def open(self) -> None:
        """Open the source for the first time: what is wrong now is raised, not tried again."""
        try:
            session = self._open_session()
        except WayBack as way:
            path = self.source.path
            self._reverse = ReverseFlow(
                self.source.name, path, self._target, way.epoch, wait=self._stop.wait
            )
            return
        self._replication = Replication(
            self.source.name,
            session,
            self._target,
            self._config.replication,
            self.progress,
            synchronous_commit=self._config.postgres.synchronous_commit,
            references=references_of(self._config),
        )

    def _open_session(self) -> Session:
        for _ in range(MIGRATION_LOOKS):
            try:
                return open_session(self._config, self.source, self._target, self._stop)
            except SchemaMoved as error:
                log.info(
                    "%s Looking again.",
                    error,
                    extra=fields("schema_moved", source=self.source.name),
                )
                self._stop.wait(MIGRATION_PAUSE_SECONDS)
        return open_session(self._config, self.source, self._target, self._stop)

    def run(self, *, until_caught_up: bool = False) -> None:
        """Replicate until stopped, or until nothing is left to do; errors end up in `progress`."""
        looks: Iterator[float] = iter(())
        try:
            while not self._stop.asked:
                if self._step_with_retry():
                    looks = iter(LOOKS)
                elif until_caught_up:
                    self._report_end()
                    break
                else:
                    looks = self._wait(looks)
            self._settle()
            self._enter(SourceState.STOPPED)
        except Finished as error:
            log.info("%s", error, extra=fields("finished", source=self.source.name))
            self._enter(SourceState.FINISHED)
        except BaseException as error:  # noqa: BLE001  (whatever it is, the operator must see it)
            self._halt(error)
        finally:
            self.close()

    def request(self, waiting: list[Request]) -> None:
        """Have these requests answered, as soon as all is copied; from any thread.

        They take the place of those given before: what has no answer yet is given again.
        """
        self._requests = waiting
        self._bell.ring()

    def close(self) -> None:
        """Let go of the file; harmless when that is done already."""
        replication, self._replication = self._replication, None
        if replication is not None:
            replication.close()
        reverse, self._reverse = self._reverse, None
        if reverse is not None:
            reverse.close()

    def _step_with_retry(self) -> bool:
        try:
            return bool(self._retrying(self._step))
        except PASSING:
            # Only a stop ends the attempts.
            return False

    def _report_end(self) -> None:
        if not self._stop.asked:
            seq = self.progress.applied_seq
            log.info(
                "Caught up at event %d.",
                seq,
                extra=fields("caught_up", source=self.source.name, seq=seq),
            )

    def _settle(self) -> None:
        if self._replication is not None:
            try:
                self._replication.settle()
            except PASSING as error:
                # We are stopping: the next boundary will do.
                log.debug("%s", error, extra=fields("boundary_skipped", source=self.source.name))

    def _step(self) -> bool:
        self._keep_lock()
        if self._replication is None and self._reverse is None:
            self.open()
        try:
            worked = self._bring_back() if self._reverse is not None else self._replicate()
        except SourceBusy:
            raise
        except (GateMoved, RelationGone) as error:
            self.close()
            self._looked_again += 1
            if self._looked_again > LOOKS_AGAIN:
                raise
            raise SessionEnded(f"{error}.") from error
        except BaseException:
            self.close()
            raise
        self._looked_again = 0
        if self.progress.message:
            log.info("Going on.", extra=fields("recovered", source=self.source.name))
        self._enter(self.progress.state)
        return worked

    def _keep_lock(self) -> None:
        if self._lock.keep():
            log.warning(
                "The lock beside %s was removed or moved away; it is taken again.",
                self.source.path,
                extra=fields("lock_taken_again", source=self.source.name),
            )

    def _replicate(self) -> bool:
        assert self._replication is not None
        self._answer_requests(self._replication)
        if self._returning:
            self._returning = False
            self.progress.turned()
        return self._replication.step()

    def _bring_back(self) -> bool:
        assert self._reverse is not None
        if not self._returning:
            self._returning = True
            self.progress.turned()
        written = self._reverse.step()
        if written is not None:
            self.progress.returned(written.entries, written.oldest)
        if self.progress.state is not SourceState.RETURNING:
            log.info(
                "PostgreSQL is master: what is written there is brought back from now on.",
                extra=fields("returning", source=self.source.name),
            )
        self.progress.state = SourceState.RETURNING
        return written is not None

    def _answer_requests(self, replication: Replication) -> None:
        if self._requests and replication.copied:
            from cdc.pipeline import errand  # much to import, and seldom asked for

            waiting, self._requests = self._requests, []
            for request in waiting:
                errand.answer(self._target, replication, request)

    def _wait(self, looks: Iterator[float]) -> Iterator[float]:
        """Wait until there may be news; returns the pauses before the next looks."""
        pause = next(looks, None)
        if pause is not None:
            return iter(LOOKS) if self._bell.wait(pause) else looks
        poll = self._config.replication.poll_ms / 1000
        if self._reverse is not None:
            poll = min(poll, POLL_SECONDS)  # nothing rings when PostgreSQL is written to
        return iter(LOOKS) if self._bell.wait(poll) else looks

    def _report_trouble(self, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        pause = attempt.next_action.sleep if attempt.next_action else 0.0
        if isinstance(error, SessionEnded | SchemaMoved | DirectionChanged):
            log.info(
                "%s Looking at the source anew.",
                error,
                extra=fields("session_ended", source=self.source.name),
            )
            return
        log.warning(
            "%s. Trying again in %.1f s.",
            str(error).rstrip("."),
            pause,
            extra=fields("waiting", source=self.source.name, attempt=attempt.attempt_number),
        )
        self.progress.state, self.progress.message = SourceState.WAITING, str(error)
        if not isinstance(error, TargetUnavailable):
            self._record()

    def _halt(self, error: BaseException) -> None:
        self.progress.error = error
        message = error.line if isinstance(error, CdcError) else repr(error)
        log.error(
            "Halted: %s",
            message,
            exc_info=None if isinstance(error, CdcError) else error,
            extra=fields("halted", source=self.source.name),
        )
        self._enter(SourceState.HALTED, message)

    def _enter(self, to: SourceState, message: str = "") -> None:
        self.progress.state, self.progress.message = to, message
        self._record()

    def _record(self) -> None:
        """Leave the state in the target, where `cdc status` finds it."""
        now = (self.progress.state.value, self.progress.message)
        if now == self._recorded:
            return
        try:
            with self._target.lease() as conn:
                state.set_state(conn, self.source.name, *now)
            self._recorded = now
        except TargetError as error:
            # The state is for people and is written again with the next change; replication itself
            # meets the same trouble and reports it.
            log.debug("%s", error, extra=fields("state_not_recorded", source=self.source.name))


def _pause(attempt: RetryCallState) -> float:
    """How long to wait before the next attempt, in seconds."""
    error = attempt.outcome.exception() if attempt.outcome else None
    # A busy file has gaps, which long pauses would only miss; a server that is away has none.
    return _AFTER_BUSY(attempt) if isinstance(error, SourceBusy) else _AFTER_TROUBLE(attempt)


_AFTER_BUSY: Final = wait_random(0.01, 0.1)
_AFTER_TROUBLE: Final = wait_random_exponential(multiplier=0.05, max=LONGEST_RETRY_SECONDS)
