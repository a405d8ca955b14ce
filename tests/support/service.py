"""A service of the legacy system: Python's own sqlite3, in a process of its own, told what to run.

Two SQLite libraries must never have one file open in one process. Run as a script it is the
service; `Service` is the tests' end of the pipe.
"""

import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """What the service met: its rows, or the error's class and text; and how long it took."""

    rows: list[list[Any]]
    error: str
    seconds: float


class Service:
    """A running service with one connection to one file. `timeout` is its busy timeout."""

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path), str(timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self("PRAGMA foreign_keys = ON")

    def __call__(self, statement: str) -> Answer:
        """Run a statement to its end."""
        self.start(statement)
        return self.answer()

    def start(self, statement: str) -> None:
        """Have it begin a statement, and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(statement) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Answer:
        """What came of the statement that was begun first."""
        assert self._process.stdout is not None
        return Answer(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it, however it stands."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _main() -> None:
    db = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]), isolation_level=None)
    for line in sys.stdin:
        started = time.monotonic()
        answer: dict[str, Any] = {"rows": [], "error": ""}
        try:
            answer["rows"] = db.execute(json.loads(line)).fetchall()
        except sqlite3.Error as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        answer["seconds"] = time.monotonic() - started
        print(json.dumps(answer), flush=True)  # noqa: T201  (its report)


if __name__ == "__main__":
    _main()
