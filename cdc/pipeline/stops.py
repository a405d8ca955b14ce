"""Tables that cannot go on without a decision, while the others of their source do."""

from cdc.errors import CdcError


class Stops:
    """Gathers what keeps single tables of a source from being replicated.

    With `at_once`, as when a source is replicated for the first time, the first such error is
    raised instead: then the operator looks on, and nothing has begun.
    """

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self.errors: dict[str, CdcError] = {}

    def note(self, table: str, error: CdcError) -> None:
        """This table has to wait, for this reason."""
        if self._at_once:
            raise error
        self.errors[table] = error

    def let_go(self, table: str, remedy: str) -> None:
        """This table waits since the operator has released it from the capture."""
        self.errors[table] = CdcError("It was released from the capture.", hint=remedy)

    @property
    def reasons(self) -> dict[str, tuple[str, str]]:
        """For each table why it waits, and what to do."""
        return {table: (str(error), error.hint) for table, error in self.errors.items()}
