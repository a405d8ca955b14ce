"""Words for the operator: where nobody can read them any more, the work goes on without."""

import os
import pty
from contextlib import suppress

import pytest

from cdc.cli.output import Words


@pytest.fixture(params=["terminal", "pipe"])
def unread(request):
    """Something to write to, whose reader has gone."""
    reader, writer = pty.openpty() if request.param == "terminal" else os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    yield file
    with suppress(OSError):  # what is left over finds no reader either
        file.close()


def test_words_that_nobody_reads_end_nothing(unread):
    words = Words(file=unread)
    words.print("PostgreSQL takes the writes.")
    words.print("Nor is anything said after that.")
    assert words.quiet
