"""Logging: each line is a sentence for a person and a stable `action` for a program.

    log = logging.getLogger(__name__)
    log.info("Copied %s.", table, extra=fields("copy_finished", source="trades", table=table))

As text, the default, for a terminal or the journal:

    2026-11-23 20:36:45 INFO  trades: Copied fills.

As JSON, one object a line, the same with every field:

    {"time":"2026-11-23T20:36:45.120+00:00","level":"info","logger":"cdc.pipeline","action":
    "copy_finished","message":"Copied fills.","source":"trades","table":"fills"}
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import orjson
from rich.console import Console
from rich.text import Text

from cdc.errors import CdcError
from cdc.redact import redact

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

OWN_LOGGER: Final = "cdc"
RESERVED: Final = frozenset(("time", "level", "logger", "action", "message", "exception", "hint"))

_SHORT_LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_STYLES: Final = {"DEBUG": "dim", "WARN": "yellow", "ERROR": "red", "FATAL": "bold red"}

# A name in a message may hold anything; no line may be forged with it, and no terminal steered.
_CONTROLS: Final = {c: f"\\x{c:02x}" for c in (*range(0x20), *range(0x7F, 0xA0))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


def fields(action: str, **values: object) -> dict[str, object]:
    """What to pass as `extra=` of a log call: the event's stable name, and its parts.

    `source` is shown before the sentence in text; all else is for JSON only, so a sentence must
    not depend on it. Raises ValueError for a name that JSON lines use themselves.

    >>> fields("copy_finished", source="trades", rows=129)
    {'action': 'copy_finished', 'fields': {'source': 'trades', 'rows': 129}}
    """
    if taken := RESERVED & values.keys():
        raise ValueError(f"reserved in log lines: {', '.join(sorted(taken))}")
    return {"action": action, "fields": values}


def configure(
    format: Format = "text", level: Level = "info", console: Console | None = None
) -> None:
    """Send all logging of this process to standard error, or to `console`, in place of what a
    former call has set up.

    Pass the console on which a live display runs, so that lines appear above it. Other packages
    are heard from warnings on; Python's own warnings become log lines too. At level "debug" an
    exception comes with its traceback, otherwise with its chain of causes; JSON always has the
    traceback.
    """
    handler = _StreamHandler(sys.stderr) if console is None else _ConsoleHandler(console)
    if format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter(tracebacks=level == "debug"))
    root = logging.getLogger()
    for former in [h for h in root.handlers if isinstance(h, (_StreamHandler, _ConsoleHandler))]:
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN_LOGGER).setLevel(level.upper())
    logging.captureWarnings(capture=True)


class TextFormatter(logging.Formatter):
    """`2026-11-23 20:36:45 INFO  trades: Copied fills.`, in local time; causes on lines below."""

    def __init__(self, *, tracebacks: bool = False) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        source = _values(record).get("source")
        prefix = f"{source}: " if source is not None else ""
        lines = [f"{at} {_short_level(record):<5} {_one_line(prefix + record.getMessage())}"]
        if exc := _exception(record):
            lines += _traceback(exc).splitlines() if self._tracebacks else _causes(exc)
        return redact("\n".join(lines))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, action, message, the fields,
    and for an exception `exception` (its traceback) and `hint`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": getattr(record, "action", None),
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in _values(record).items() if name not in line}
        if exc := _exception(record):
            line["exception"] = _traceback(exc)
            if isinstance(exc, CdcError) and exc.hint:
                line["hint"] = exc.hint
        return orjson.dumps({name: _plain(value) for name, value in line.items()}).decode()


class _StreamHandler(logging.StreamHandler[TextIO]):
    """Ours, told apart from handlers that somebody else has set up."""


class _ConsoleHandler(logging.Handler):
    """Writes through a rich console, which keeps its live displays in order."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # Colours only for people; and as Text, since square brackets are no markup here.
            styled = isinstance(self.formatter, TextFormatter)
            style = _STYLES.get(_short_level(record), "") if styled else ""
            self._console.print(Text(self.format(record), style), soft_wrap=True)
        except Exception:  # noqa: BLE001 - as logging's own handlers: logging never raises
            self.handleError(record)


def _values(record: logging.LogRecord) -> dict[str, object]:
    values: dict[str, object] = getattr(record, "fields", {})
    return values


def _short_level(record: logging.LogRecord) -> str:
    return _SHORT_LEVELS.get(record.levelname, record.levelname)


def _one_line(text: str) -> str:
    return text.translate(_CONTROLS)


def _exception(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _traceback(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc))


def _causes(exc: BaseException) -> Iterator[str]:
    """The exception, what it says to do, and what led to it, one line each."""
    cause: BaseException | None = exc
    seen = []
    # `raise exc from exc` is legal, and closes a circle.
    while cause is not None and cause not in seen:
        seen.append(cause)
        label = "" if cause is exc else "because of "
        kind = "" if isinstance(cause, CdcError) else f"{type(cause).__name__}: "
        yield f"    {label}{kind}{_one_line(str(cause))}"
        if isinstance(cause, CdcError) and cause.hint:
            yield f"    hint: {_one_line(cause.hint)}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _plain(value: object) -> Any:
    """`value` as JSON can hold it, without passwords."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {_text(name): _plain(item) for name, item in value.items()}
        case _:
            return _text(value)


def _text(value: object) -> str:
    # A lone surrogate, from a file name that is not UTF-8, has no place in JSON.
    return redact(str(value)).encode("utf-8", "backslashreplace").decode("utf-8")
