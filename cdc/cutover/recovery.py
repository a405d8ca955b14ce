"""What becomes of a run whose process died, or lost PostgreSQL in the middle of its switch.

PostgreSQL decides: a run that has switched goes on to its end, one that has not never will. As long
as it cannot be asked, everything stays as it is.
"""

import time
from dataclasses import dataclass
from typing import Final

from cdc.config import Config
from cdc.cutover import files
from cdc.cutover.intent import DIRECTORY, INTENT, LocalJournal
from cdc.errors import CdcError, TargetUnavailable
from cdc.postgres import state, switches
from cdc.postgres.connection import Target
from cdc.postgres.switches import Direction, State, Switch

DIED: Final = "its command ended in the middle"

PATIENCE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.25


class InDoubt(CdcError):
    """Nobody can tell at the moment whether the switch has happened. Exit code 3."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What was found of an earlier run, and what was done: `undone`, or it has yet to go on."""

    run: str
    direction: Direction
    undone: bool
    switch: Switch | None


def has_intent(config: Config) -> bool:
    """Whether files may be sealed by a run that has not come to its end; asks nobody else."""
    path = config.path.parent / DIRECTORY / INTENT
    try:
        return path.exists()
    except OSError as error:
        raise CdcError(
            f"{path} cannot be reached ({error.strerror}).",
            hint="Let the user of cdc enter this folder.",
        ) from error


def settle(config: Config, target: Target, journal: LocalJournal) -> Settled | None:
    """Undo an earlier run that had not switched, or find one that has yet to go on; else None.

    Raises InDoubt where an intent is on record and PostgreSQL does not answer; Finished where the
    way back has come to its end; TargetError, SourceError.
    """
    intent = journal.read()
    try:
        with target.within(PATIENCE_SECONDS), target.lease() as conn:
            known = state.identity(conn)
            if known is None or known.version < switches.SINCE_VERSION:
                return None
            last = switches.last(conn)
            if last is None or not last.unfinished:
                switches.refuse_finished(conn)
    except TargetUnavailable as error:
        if intent is None:
            raise
        raise in_doubt(journal, error) from error
    if last is None or not last.unfinished:
        # Whatever is on record came to its end in PostgreSQL: to open, or to aborted.
        if intent is not None:
            _undo_files(config, intent.direction, intent.epoch, last)
            journal.clear()
        return None
    outcome = decide(target, journal, last.run, DIED)
    if outcome != "aborted":
        return Settled(last.run, last.direction, undone=False, switch=last)
    undo(config, journal, last.direction, last.epoch)
    return Settled(last.run, last.direction, undone=True, switch=last)


def decide(target: Target, journal: LocalJournal, run: str, reason: str) -> State:
    """What became of a run; after this it has switched, or never will. Raises InDoubt."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with target.within(PATIENCE_SECONDS), target.lease() as conn:
                return switches.decide(conn, run, reason)
        except TargetUnavailable as error:
            if time.monotonic() > end:
                raise in_doubt(journal, error) from error
            time.sleep(PAUSE_SECONDS)


def undo(config: Config, journal: LocalJournal, direction: Direction, epoch: int) -> None:
    """Give the files back after a run that was aborted; the gate is as it was already."""
    if direction == "forward":
        files.give_back(config, epoch + 1)
    journal.clear()


def in_doubt(journal: LocalJournal, error: Exception) -> InDoubt:
    """The error that says so."""
    return InDoubt(
        f"Whether PostgreSQL has become master cannot be told: {error}.",
        hint=f"Nothing was thawed: see {journal.path}. Bring PostgreSQL back, and run the command"
        " again. If it is lost for good: cdc rollback --accept-loss.",
    )


def _undo_files(config: Config, direction: Direction, epoch: int, last: Switch | None) -> None:
    """Of a forward run that is recorded as aborted, files may still be sealed."""
    switched = last is not None and last.direction == "forward" and last.epoch == epoch
    if direction == "forward" and not switched:
        files.give_back(config, epoch + 1)
