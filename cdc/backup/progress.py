"""How far a backup or a restore is, for whoever shows it from another thread."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["rows", "bytes"]


@dataclass(slots=True)
class Progress:
    """What is being done, and how much of it is: of `total`, None where that is not known."""

    what: str = ""
    done: int = 0
    total: int | None = None
    unit: Unit = "rows"

    def begin(self, what: str, *, total: int | None = None, unit: Unit = "rows") -> None:
        """Something else is done from now on."""
        self.what, self.done, self.total, self.unit = what, 0, total, unit

    def add(self, more: int) -> None:
        """So much more of it is done."""
        self.done += more
