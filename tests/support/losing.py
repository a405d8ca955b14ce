"""A helper that is lost at a certain item, whatever it has written by then."""

from itertools import count

import pytest

from cdc import helper


def lose_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have the next helper lost when so many messages of it have been taken."""
    take = helper._Process.take
    taken = count()

    def lose(process: helper._Process) -> object:
        if next(taken) == number:
            raise helper._LostError("it was lost")
        return take(process)

    monkeypatch.setattr(helper._Process, "take", lose)
