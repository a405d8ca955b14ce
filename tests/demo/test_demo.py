"""The whole demo, as a newcomer runs it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from cdc.postgres import embedded

pytestmark = pytest.mark.demo

TABLES = {
    "trades",
    "active_trades",
    "positions",
    "fills",
    "orders",
    "settlements",
    "price_log",
}
CHECKS = {
    "connectivity",
    "open and close a trade",
    "profit and loss",
    "expiry",
    "position update",
    "fill insert",
    "query time < 1.0 s",
    "write time < 2.0 s",
    "clean up",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's own directory: under root the embedded server is another user.
    with TemporaryDirectory(prefix="cdc-demo-") as made:
        yield Path(made)


def _command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "cdc", "demo", "--directory", str(folder / "demo"), *options]


def _demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(folder, *options), capture_output=True, text=True, timeout=280, check=False
    )


def _interrupted(folder: Path, at: str) -> tuple[int, str, str]:
    """Ctrl-C, once the story has come to some words: exit code, and what it has printed."""
    process = subprocess.Popen(
        _command(folder, "--seconds", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told = ""
    for line in process.stdout:
        told += line
        if at in line:
            process.send_signal(signal.SIGINT)
            break
    rest, errors = process.communicate(timeout=120)
    return process.returncode, told + rest, errors


def _running(folder: Path) -> list[str]:
    """The processes that have to do with a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            where = (process / "cwd").readlink()
        except OSError:  # it is another user's, or has ended
            continue
        if str(folder).encode() in words or where.is_relative_to(folder):
            found.append(words[:200].decode("utf-8", "replace"))
    return found


def _found(pattern: str, done: subprocess.CompletedProcess[str]) -> list[Any]:
    return re.findall(pattern, done.stdout, re.MULTILINE)


def test_the_demo_goes_there_and_back_and_there_and_loses_nothing(folder: Path) -> None:
    done = _demo(folder, "--seconds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PostgreSQL takes the writes.") == 2
    assert done.stdout.count("SQLite takes the writes again.") == 1
    assert " 0 lost, 0 doubled. Every row is equal on both sides." in done.stdout
    # Every service has written to both sides, and has looked for its rows.
    services = _found(r"^(\w+) +([\d,]+) +([\d,]+) .* ([\d,]+) +0 +0$", done)
    assert len(services) == 4, done.stdout
    assert "0" not in {count for _, *counts in services for count in counts}
    # cdc's own proof, and the comparison that knows nothing of it.
    assert set(_found(r"^\w+\.(\w+) .* equal$", done)) == TABLES
    assert set(_found(r"^(\w+) +[\d,]+ rows  equal$", done)) == TABLES
    assert set(_found(r"PASS  (.*?) +\d+ ms", done)) == CHECKS
    assert "Traceback" not in done.stderr
    _look_around(folder / "demo")


def _look_around(demo: Path) -> None:
    """What was left can be used; the comparison sees a single digit; a server in use stays."""
    dsn = embedded.start(demo / ".cdc" / "postgres")
    try:
        assert "is in use" in _demo(demo.parent).stderr
        with psycopg.connect(dsn) as conn:
            conn.execute("UPDATE trades SET pnl = pnl + 0.0001 WHERE id = 1")
        compared = subprocess.run(
            [demo / "bin" / "compare"], capture_output=True, text=True, timeout=60, check=False
        )
        assert compared.returncode == 1
        assert _found(r"^    1: pnl is .* in SQLite", compared), compared.stdout
    finally:
        assert embedded.stop(demo / ".cdc" / "postgres")


def test_nothing_runs_on_after_an_interruption_and_the_next_run_begins_anew(folder: Path) -> None:
    for at in ("cdc cutover --yes", "cdc run"):
        code, told, errors = _interrupted(folder, at)
        assert code == 1, told + errors
        assert "stopped before its end" in errors
        assert "Traceback" not in errors
        assert _running(folder) == []


def test_a_directory_that_is_no_demo_is_left_alone(folder: Path) -> None:
    (folder / "demo").mkdir()
    (folder / "demo" / "thesis.txt").write_text("ten years", encoding="utf-8")
    done = _demo(folder)
    assert done.returncode == 2
    assert "not the directory of a demo" in done.stderr
    assert (folder / "demo" / "thesis.txt").read_text(encoding="utf-8") == "ten years"
