"""Where a replay writes: the port between its order of pieces and the databases."""

from typing import Any, Protocol

from cdc.rebuilt import Standing
from cdc.replay.pieces import Piece
from cdc.replay.plan import Plan


class Destination(Protocol):
    """Takes pieces, and keeps beside the rows how far it is, in the same transactions."""

    def begin(self, plan: Plan) -> Plan:
        """Make what the plan needs, or find it begun; the plan with the baselines to go on with.

        Raises DestinationTaken where there is anything else.
        """

    @property
    def standing(self) -> Standing:
        """How far it is."""

    def prepare(self, piece: Piece) -> Any:
        """Make a piece ready to be written; in a thread ahead of the one that writes."""

    def write(self, prepared: Any) -> bool:
        """Write a piece; False, and nothing is written, where it needs more care."""

    def write_carefully(self, piece: Piece) -> None:
        """Write a piece that needs care, while nothing else is being prepared."""

    def finish(self) -> list[str]:
        """Do what comes once all rows are there; what of that could not be done, in words."""
