"""The phases of a run: what each took, against what it may take; for the report and the display."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Final, Literal

from cdc.cutover.hooks import HookRun
from cdc.cutover.sight import Gate
from cdc.errors import CdcError, TargetUnavailable
from cdc.postgres.connection import Target
from cdc.postgres.switches import Direction

Outcome = Literal["switched", "rolled_back", "finished", "aborted", "in_doubt"]

FAST: Final = {
    "preflight": 120.0,
    "stop": 60.0,
    "proof": 120.0,
    "freeze": 120.0,
    "switch": 20.0,
    "start": 60.0,
    "validate": 120.0,
    "references": 120.0,
}
"""Seconds for each phase of a cutover on the fast path: the reference user's plan."""

STANDARD: Final = {
    "preflight": 600.0,
    "stop": 300.0,
    "proof": 600.0,
    "freeze": 600.0,
    "switch": 60.0,
    "start": 300.0,
    "validate": 900.0,
    "references": 900.0,
}

BACK: Final = {
    "preflight": 60.0,
    "proof": 3600.0,  # nobody waits for it, and there must be a way back however large the data are
    "stop": 60.0,
    "close": 30.0,
    "drain": 120.0,
    "compare": 240.0,
    "switch": 20.0,
    "start": 60.0,
}
"""Seconds for each phase of the way back."""


END: Final = {
    "preflight": 60.0,
    "proof": 3600.0,
    "end": 20.0,
    "files": 60.0,
    "release": 600.0,
}
"""Seconds for each phase of the end of the way back; nobody waits for any of them."""

STOPPED: Final = "stopped by the operator"

GRACE_SECONDS: Final = 5.0
"""Beyond its budget, until a phase that waits for PostgreSQL is cut off: what has a bound of its
own says better what it waited for.
"""


SLOW_HINT: Final = (
    "Find out what was slow, or take the standard path with its longer budgets: path in [cutover]."
    " A proof takes long where none was made lately: run cdc verify first."
)


def unseen(_: str) -> None:
    """Hears of a run where nobody looks on."""


def left_midway(report: "Report", command: str) -> "Report":
    """The report of a run that was interrupted, and that this command goes on with."""
    report.trouble.append(f"{STOPPED} before its end (run {command} again)")
    report.reason = "; ".join(filter(None, [report.reason, *report.trouble]))
    return report


class Aborted(CdcError):
    """The run is given up; the side that was master goes on."""

    exit_code = 1


@dataclass(slots=True)
class Phase:
    """One phase. `seconds` add up where it was entered several times."""

    name: str
    budget_seconds: float
    seconds: float = 0.0
    entered: int = 0


@dataclass(slots=True)
class Report:
    """What a run came to."""

    run: str
    direction: Direction | Literal["loss"]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    """None while it is under way, and of one whose process died."""
    cause: str = ""
    """Why it was begun, where that was not by a command of the operator's."""
    outcome: Outcome = "aborted"
    reason: str = ""
    freeze_seconds: float | None = None
    held: list[float] = field(default_factory=list)
    """How long each attempt held the files, in seconds."""
    phases: list[Phase] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    """The last event of each source that both sides had at the switch."""
    proofs: list[str] = field(default_factory=list)
    """What was compared, and when; in words."""
    opened_before: list[str] = field(default_factory=list)
    opened_after: list[str] = field(default_factory=list)
    """Who had the files open: processes, each in words."""
    hooks: list[HookRun] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    """What went wrong behind the switch, for the operator to see to."""

    @property
    def stopped(self) -> bool:
        """Whether the stop hooks were begun, so that the services may be down."""
        return any(phase.name == "stop" and phase.entered for phase in self.phases)

    def end(self) -> None:
        """Note that the process has done all it can."""
        self.ended_at = datetime.now(UTC)

    def go_on(self, earlier: "Report") -> None:
        """Take over what is known of the same run from the process that died in it."""
        kept = {f.name for f in fields(self)} - {"outcome", "reason", "trouble"}
        for name in kept:
            setattr(self, name, getattr(earlier, name))

    @property
    def exit_code(self) -> int:
        if self.outcome == "in_doubt" or self.ended_at is None:
            return 3
        return 1 if self.outcome == "aborted" or self.trouble else 0


class Clock:
    """Measures the phases of a run, and lets none wait for PostgreSQL beyond its budget. `tell`
    hears of each as it begins; `keep` is called as it begins and ends.
    """

    def __init__(
        self,
        report: Report,
        target: Target,
        budgets: dict[str, float],
        *,
        tell: Callable[[str], object],
        keep: Callable[[Report], object],
    ) -> None:
        self._report = report
        self._target = target
        self._budgets = budgets
        self._tell = tell
        self._keep = keep

    @contextmanager
    def phase(self, name: str, words: str) -> Iterator[Phase]:
        """Time what happens inside; it adds to what the phase has taken before.

        A wait for PostgreSQL that goes on beyond the budget ends in TargetUnavailable.
        """
        self._tell(words)
        entry = self._entry(name)
        entry.entered += 1
        self._keep(self._report)
        before, started = entry.seconds, time.monotonic()
        left = max(0.0, entry.budget_seconds - before) + GRACE_SECONDS
        try:
            with self._target.within(left):
                yield entry
        except TargetUnavailable as error:
            if time.monotonic() - started < left:
                raise
            raise TargetUnavailable(
                f"the phase {name} was not over after {left:g} s, and may take"
                f" {entry.budget_seconds:g} s: what it asked of PostgreSQL was cut off",
                hint=SLOW_HINT,
            ) from error
        finally:
            entry.seconds = before + time.monotonic() - started
            self._keep(self._report)

    def check(self, name: str) -> None:
        """Raise Aborted where a phase, now over, took longer than it may; before the switch."""
        entry = self._entry(name)
        if entry.seconds > entry.budget_seconds:
            raise Aborted(
                f"the phase {name} took {entry.seconds:.1f} s and may take"
                f" {entry.budget_seconds:g} s",
                hint=SLOW_HINT,
            )

    def _entry(self, name: str) -> Phase:
        for phase in self._report.phases:
            if phase.name == name:
                return phase
        self._report.phases.append(Phase(name, self._budgets[name]))
        return self._report.phases[-1]


def problems(hooks: Sequence[HookRun]) -> list[str]:
    """What is to be said of hooks that failed."""
    return [f"the {each.on} hook {each.name} {each.problem}" for each in hooks if each.problem]
