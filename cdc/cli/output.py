"""Where output goes: data to standard output, words to standard error."""

import sys
from collections.abc import Iterator
from typing import Any, Final

import orjson
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from cdc.errors import CdcError
from cdc.redact import redact

PIPE_COLUMNS: Final = 1_000
"""Where nobody looks on, a line of data stays one line, for `grep` and its kin."""

_PICTURES: Final = (
    {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"}
    | {0x7F: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)
"""Unicode's pictures of the control characters, which are as wide as any other."""


class SafeConsole(Console):
    """Shows a control character of a name or a value, and does not have the terminal obey it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(segment.text.translate(_PICTURES), segment.style)


DATA: Final = SafeConsole(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS
)


class Words(SafeConsole):
    """Falls silent where nobody listens any more: what is being done is more important."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:  # of a terminal that is closed
            self.quiet = True

    def on_broken_pipe(self) -> None:
        self.quiet = True


ERRORS: Final = Words(stderr=True, highlight=False, soft_wrap=True)


def tell(words: str) -> None:
    """Say something to the operator; not part of the data."""
    ERRORS.print(words, markup=False)


def tell_error(error: CdcError, *, traceback: bool) -> None:
    """Say what went wrong and what to do about it, with the traceback where it was asked for."""
    if traceback:
        ERRORS.print_exception()
    ERRORS.print(f"cdc: {redact(str(error))}", markup=False, style="bold red")
    if error.hint:
        ERRORS.print(f"  → {redact(error.hint)}", markup=False)


def put_json(data: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n")


def duration(seconds: float) -> str:
    """A duration for people.

    >>> [duration(s) for s in (0, 0.0123, 3.21, 75, 7384)]
    ['0 s', '12 ms', '3.2 s', '1 min 15 s', '2 h 3 min']
    """
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
