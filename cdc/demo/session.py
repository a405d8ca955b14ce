"""A connection as the statements of the legacy system use it, whichever database it leads to."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Session(Protocol):
    """Python's own `sqlite3.Connection` is one."""

    def execute(
        self, statement: str, parameters: Sequence[Any] = ..., /
    ) -> Iterable[tuple[Any, ...]]:
        """Run a statement with question marks for its parameters; the rows it gives, if any."""
