"""Triggers of the application behind which a change could pass the capture unseen."""

from collections.abc import Iterator
from typing import Final

from cdc.sqlite.ddl import Token, tokens

_ENDINGS: Final = ("IGNORE", "FAIL")


def ends_statements(sql: str) -> bool:
    """Whether a trigger can end the statement that fires it, and leave the row as written.

    SQLite then skips the triggers that have not run yet, ours among them. A BEFORE trigger ends the
    statement before the row is written, so that there is nothing to miss.

    >>> ends_statements("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT RAISE(IGNORE); END")
    True
    >>> ends_statements("CREATE TRIGGER t BEFORE INSERT ON a BEGIN SELECT RAISE(IGNORE); END")
    False
    >>> ends_statements("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT RAISE(ABORT, ''); END")
    False
    """
    found = list(tokens(sql))
    begin = next((i for i, token in enumerate(found) if token.is_word("BEGIN")), len(found))
    head, body = found[:begin], found[begin:]
    is_after = not any(token.is_word("BEFORE") for token in head)
    return is_after and any(_ending(body))


def _ending(body: list[Token]) -> Iterator[bool]:
    for first, second, third in zip(body, body[1:], body[2:], strict=False):
        if first.is_word("RAISE") and second.text == "(":
            yield any(map(third.is_word, _ENDINGS))
        if first.is_word("OR"):
            yield second.is_word("FAIL")
