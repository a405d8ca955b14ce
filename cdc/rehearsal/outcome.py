"""What a rehearsal came to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from cdc.cutover.phases import Report
from cdc.cutover.sight import Gate
from cdc.rehearsal.room import Room
from cdc.sqlite.reenactment import Load


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of several runs, in seconds."""

    times: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.times)

    @property
    def longest(self) -> float:
        return max(self.times)

    @classmethod
    def of(cls, times: Sequence[float | None]) -> "Spread | None":
        """None without any."""
        known = tuple(time for time in times if time is not None)
        return cls(known) if known else None


@dataclass(slots=True)
class Round:
    """Once there and back. `written` counts rows that were written to PostgreSQL in between;
    `proven` that both sides were equal in the end.
    """

    cutover: Report | None = None
    rollback: Report | None = None
    written: int = 0
    proven: bool = False


@dataclass(slots=True)
class Rehearsal:
    """The whole. `gates` are those of the real system, as they are now; `reason` says why it did
    not switch and come back proven, "" where it did. `notes` are what the operator should know.
    """

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    gates: list[Gate] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    copy_seconds: dict[str, float] = field(default_factory=dict)
    live_seconds: float | None = None
    rounds: list[Round] = field(default_factory=list)
    load: dict[str, Load] = field(default_factory=dict)
    load_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether it switched and came back, each time, with both sides equal."""
        return not self.reason and bool(self.rounds) and all(each.proven for each in self.rounds)

    @property
    def exit_code(self) -> int:
        return 0 if self.proven else 1

    @property
    def freeze(self) -> Spread | None:
        """For how long nobody could write, on the way to PostgreSQL."""
        return Spread.of([r.cutover.freeze_seconds for r in self.rounds if r.cutover])

    @property
    def freeze_back(self) -> Spread | None:
        """The same on the way back."""
        return Spread.of([r.rollback.freeze_seconds for r in self.rounds if r.rollback])

    @property
    def held(self) -> Spread | None:
        """For how long the files were held, in each attempt."""
        return Spread.of([seconds for r in self.rounds if r.cutover for seconds in r.cutover.held])

    @property
    def failing_gates(self) -> list[Gate]:
        """Those that a cutover now would end at."""
        return [gate for gate in self.gates if not gate.passed]
