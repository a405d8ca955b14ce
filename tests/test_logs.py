"""Log lines, for people and for programs."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cdc.errors import SourceBusy, TargetUnavailable
from cdc.logs import configure, fields

log = logging.getLogger("cdc.tests")
stranger = logging.getLogger("watchdog.observers")


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("cdc")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    logging.captureWarnings(capture=False)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output is for data"
    return captured.err.splitlines()


def _fail() -> None:
    """Raise an error of ours with a hint and a cause that holds a password."""
    try:
        raise OSError("no route to postgresql://u:s3cret@h/d")
    except OSError as exc:
        raise TargetUnavailable("PostgreSQL does not answer.", hint="Start it.") from exc


def test_a_text_line_is_a_time_a_level_a_source_and_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()
    log.info("Copied %s.", "fills", extra=fields("copy_finished", source="trades", rows=129))
    log.warning("Waiting.")

    first, second = _lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO  trades: Copied fills\.", first)
    assert second[19:] == " WARN  Waiting."


def test_a_json_line_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    log.info(
        "Copied %s.",
        "fills",
        extra=fields("copy_finished", source="trades", rows=129, path=Path("a.db"), big=2**70),
    )

    (line,) = map(json.loads, _lines(capsys))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "cdc.tests",
        "action": "copy_finished",
        "message": "Copied fills.",
        "source": "trades",
        "rows": 129,
        "path": "a.db",
        "big": str(2**70),
    }


def test_a_json_line_can_hold_anything(capsys: pytest.CaptureFixture[str]) -> None:
    """What a log call is given never makes the line fail."""
    configure("json")
    hostile = {1: b"\xff", "nested": ["\udcff", None, 1.5, {"dsn": "postgresql://u:s3cret@h"}]}
    log.info("Odd: %s", "\udcff\n\0", extra=fields("odd", value=hostile))

    (text,) = _lines(capsys)
    line = json.loads(text)
    assert line["message"] == "Odd: \\udcff\n\0"
    assert line["value"] == {
        "1": "b'\\xff'",
        "nested": ["\\udcff", None, 1.5, {"dsn": "postgresql://u:***@h"}],
    }


def test_a_line_of_another_package_has_no_action(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    stranger.warning("Lost an event.")
    (line,) = map(json.loads, _lines(capsys))
    assert (line["logger"], line["action"]) == ("watchdog.observers", None)


@pytest.mark.parametrize("name", ["time", "level", "message", "exception"])
def test_a_field_may_not_hide_a_part_of_the_line(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fields("odd", **{name: 1})


def test_the_level_holds_for_us_and_others_are_heard_from_warnings_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else each file event would log a line, which is a file event where the log is a file."""
    configure(level="debug")
    log.debug("Ours.")
    stranger.info("Theirs.")
    configure(level="error")
    log.warning("Ours.")
    assert [line[20:] for line in _lines(capsys)] == ["DEBUG Ours."]


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure()
    log.info("Once.")
    assert len(_lines(capsys)) == 1


def test_an_error_comes_with_its_hint_and_its_causes(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    try:
        _fail()
    except TargetUnavailable:
        log.exception("Stopped.")

    assert [line[20:] for line in _lines(capsys)[:1]] == ["ERROR Stopped."]


def test_the_lines_below_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The chain of causes and no traceback: that is what helps at 3 a.m."""
    configure()
    try:
        _fail()
    except TargetUnavailable:
        log.exception("Stopped.")

    assert _lines(capsys)[1:] == [
        "    PostgreSQL does not answer.",
        "    hint: Start it.",
        "    because of OSError: no route to postgresql://u:***@h/d",
    ]


def test_a_circle_of_causes_ends(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    error = SourceBusy("Locked.")
    error.__cause__ = error
    log.error("Stopped.", exc_info=error)
    assert _lines(capsys)[1:] == ["    Locked."]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_for_debugging_and_for_programs(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json" if form == "json" else "text", level="debug")
    try:
        _fail()
    except TargetUnavailable:
        log.exception("Stopped.", extra=fields("stopped"))

    text = "\n".join(_lines(capsys))
    assert "Traceback (most recent call last)" in text
    assert "s3cret" not in text
    if form == "json":
        line = json.loads(text)
        assert line["hint"] == "Start it."
        assert "in _fail\n" in line["exception"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_password_in_message_arguments_fields_or_errors(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json" if form == "json" else "text")
    log.info(
        "At %s with %s",
        "postgresql://u:s3cret@h/d",
        {"password": "s3cret"},
        extra=fields("odd", source="password=s3cret", dsn="password=s3cret"),
        exc_info=OSError("host=h password='s3cret'"),
    )
    text = "\n".join(_lines(capsys))
    assert "s3cret" not in text
    assert "***" in text


def test_a_name_cannot_forge_a_line_or_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()
    log.info("Copied %s.", "a\n2025-01-01 ERROR all lost\x1b[2J\x9b2J")
    (line,) = _lines(capsys)
    assert line.endswith(r"Copied a\n2025-01-01 ERROR all lost\x1b[2J\x9b2J.")


def test_a_console_takes_the_lines_whole_and_plain() -> None:
    """Neither wrapped at its width, nor with brackets taken for markup."""
    console = Console(file=io.StringIO(), width=20, force_terminal=False)
    configure(console=console)
    log.info("Copied %s.", "[bold]" + "x" * 50)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue()[20:] == f"INFO  Copied [bold]{'x' * 50}.\n"


def test_a_console_shows_json_without_colours() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    configure("json", console=console)
    log.error("Stopped.")
    assert isinstance(console.file, io.StringIO)
    assert json.loads(console.file.getvalue())["message"] == "Stopped."


def test_a_warning_of_python_becomes_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=True)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "DeprecationWarning: old call" in _lines(capsys)[0]
