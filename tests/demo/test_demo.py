"""The whole demo, as a newcomer runs it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's own directory: under root the embedded server is another user.
    with TemporaryDirectory(prefix="cdc-demo-") as made:
        yield Path(made)


def _demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cdc", "demo", "--directory", str(folder / "demo"), *options],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_demo_ends_with_every_row_equal_and_can_be_run_again(folder: Path) -> None:
    for _ in range(2):
        done = _demo(folder, "--seconds", "3")
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in done.stdout.splitlines() if line.endswith("equal")]
        assert {name.partition(".")[2] for name, *_ in lines} == TABLES
        assert "Traceback" not in done.stderr


def test_a_directory_that_is_no_demo_is_left_alone(folder: Path) -> None:
    (folder / "demo").mkdir()
    (folder / "demo" / "thesis.txt").write_text("ten years", encoding="utf-8")
    done = _demo(folder)
    assert done.returncode == 2
    assert "not the directory of a demo" in done.stderr
    assert (folder / "demo" / "thesis.txt").read_text(encoding="utf-8") == "ten years"


def test_a_server_that_another_run_uses_is_not_removed(folder: Path) -> None:
    """The second demo refuses to pull the server away from under somebody."""
    assert _demo(folder, "--seconds", "1").returncode == 0
    embedded.start(folder / "demo" / ".cdc" / "postgres")
    done = _demo(folder)
    assert done.returncode == 3
    assert "in use" in done.stderr
    assert embedded.stop(folder / "demo" / ".cdc" / "postgres")
