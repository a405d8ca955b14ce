"""One table on both sides, as the parts of its proof share it."""

from dataclasses import dataclass

from cdc.postgres.connection import Target
from cdc.proof.following import Following, Form, OnTheWay
from cdc.proof.source import ProvenSource
from cdc.proof.target import ProvenTable
from cdc.schema import Key, Row
from cdc.sqlite.captures import Captured
from cdc.sqlite.lookup import Lookup


@dataclass(frozen=True, slots=True)
class Sides:
    """A captured table of an open file, and its target."""

    file: ProvenSource
    captured: Captured
    table: ProvenTable
    target: Target

    @property
    def following(self) -> Following | OnTheWay:
        return self.file.following

    @property
    def layout(self) -> int:
        return self.captured.layout

    def key(self, row: Row) -> Key:
        """The key of a row of SQLite."""
        return tuple(row[i] for i in self.table.mapped.key)

    def is_in_flight(self, form: Form, position: int) -> bool:
        """Whether a key changed behind `position`."""
        return self.following.in_flight(self.layout, form, position)

    def owe(self, form: Form, key: Key) -> None:
        """Note that a key is still to be compared."""
        self.following.owe(self.layout, form, key)

    def lookup(self) -> Lookup:
        """What finds the rows of keys in SQLite."""
        return Lookup(self.file.file, self.captured.source)
