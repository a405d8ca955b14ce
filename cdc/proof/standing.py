"""What the target says of a table besides its rows."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What the target says of a table, and of its source, in one snapshot.

    `position` is the last event applied, `copied_at` tells one copy of the table from the next,
    `guarded` says that the table refuses other writers. `quarantine` changes whenever the table's
    quarantine does.
    """

    position: int
    log_id: str
    state: str
    copied_at: datetime
    epoch: int
    guarded: bool
    quarantine: tuple[int, datetime | None]
