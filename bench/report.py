"""What a bench found out, and the table that shows it."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

_KEEPS: Final = {
    "at least": operator.ge,
    "at most": operator.le,
    "under": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: a value, its unit, and the bound it has to keep, if there is one.

    `bound` is a word of "at least", "at most", "under" and a number in the same unit.
    """

    what: str
    value: float
    unit: str
    bound: tuple[str, float] | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound is kept; a figure without one is only for information."""
        return self.bound is None or _KEEPS[self.bound[0]](self.value, self.bound[1])


def show(figures: Sequence[Figure]) -> None:
    """Print the figures as a table on standard output."""
    table = Table("what", "measured", "bound", "met", "how")
    for figure in figures:
        bound = f"{figure.bound[0]} {figure.bound[1]:g}{figure.unit}" if figure.bound else ""
        met = ("yes" if figure.met else "NO") if figure.bound else ""
        table.add_row(figure.what, f"{figure.value:.3g}{figure.unit}", bound, met, figure.note)
    console = Console()
    console.print(table, width=None if console.is_terminal else 150)


def interleaved(rounds: int, *ways: Callable[[], float]) -> list[float]:
    """Call each way in turn, `rounds` times; the median of what each returned.

    In turn, because other programs slow this machine down for a while, and then all ways alike.
    """
    seen = [[way() for way in ways] for _ in range(rounds)]
    return [median(of_one_way) for of_one_way in zip(*seen, strict=True)]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that is not below `percent` of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
