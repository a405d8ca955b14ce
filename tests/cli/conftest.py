"""What the tests of the commands share."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.command import Command, Outcome, command
from tests.support.sites import Site

STAFF = "CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO staff VALUES (1, 'A')"


@pytest.fixture
def shop(site: Site) -> Site:
    """The site with a small file and its configuration."""
    site.sqlite(STAFF)
    site.configure()
    return site


@pytest.fixture
def refused() -> Callable[..., None]:
    """`refused(outcome, code, *words)`: it ended so, saying this in one message with a remedy."""

    def check(outcome: Outcome, code: int, *words: str) -> None:
        assert outcome.code == code, outcome.err
        for word in words:
            assert word in outcome.err
        assert outcome.out == ""
        messages = [line for line in outcome.err.splitlines() if line.startswith("cdc: ")]
        assert len(messages) == 1, outcome.err

    return check


@pytest.fixture
def nobody(dsn: str, secret: str) -> Iterator[tuple[Command, int | None]]:
    """A command whose folder belongs to a user without privileges, and that user's id.

    None stands for the user of the tests, where that is not root.
    """
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    with (
        TemporaryDirectory(prefix="cdc-test-nobody-") as folder,
        command(Path(folder), secret) as cdc,
    ):
        if user is not None:
            os.chown(folder, user, user)
        yield cdc, user
