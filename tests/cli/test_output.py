"""Words for the operator: where nobody can read them any more, the work goes on without; and what
they tell of names and values does nothing to the terminal.
"""

import io
import os
import pty
from contextlib import suppress

import pytest
from rich.table import Table
from rich.text import Text

from cdc.cli.output import SafeConsole, Words


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


def test_control_characters_are_shown():
    """In a line, in a table and in what has a style: none of them reaches the terminal."""
    hostile = "a\x1b[2J\x9b31mb\x7f"
    shown = "a␛[2J�31mb␡"
    table = Table()
    table.add_column(hostile, min_width=20)
    table.add_row(Text(hostile, style="bold"))
    console = SafeConsole(
        file=io.StringIO(), highlight=False, force_terminal=True, color_system="standard"
    )
    for each in (hostile, Text(hostile), table):
        console.print(each)
    output = console.file.getvalue()
    assert output.count(shown) == 4
    assert "\x1b[2J" not in output
    assert "\x9b" not in output
    assert "\x1b[1m" in output  # the styles of our own
