"""The legacy application: Python's own sqlite3, in a process of its own.

Two SQLite libraries must never have one file open in one process, so the tests drive this one over
a pipe. Run as a script it is the application; `Legacy` is the tests' end of the pipe.
"""

import contextlib
import itertools
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Rows = list[tuple[Any, ...]]

CHECK = "-- check"
"""A step that shows all tables, where no transaction is open."""

SETTLE = "-- settle"
"""A step that ends the open transaction, if there is one."""

TRIGGER_DEPTH = 30
"""Random triggers that call each other without end reach SQLite's own limit too slowly."""

PATIENCE = 100
"""Thousands of SQLite's instructions that a statement may take before it has run away."""

RAN_AWAY = "OperationalError: interrupted"


class Shown(NamedTuple):
    """All rows of each table, and the newest event of the log (0 where there is none)."""

    tables: dict[str, Rows]
    seq: int


class Outcome(NamedTuple):
    """What the application got to see of one statement."""

    rows: Rows
    error: str
    changes: int
    last_insert_rowid: int
    in_transaction: bool
    shown: Shown | None = None


@dataclass(frozen=True)
class Look:
    """How to show a table: `rowid` names the rowid to show in front, or is empty."""

    table: str
    rowid: str

    def sql(self) -> str:
        table = '"' + self.table.replace('"', '""') + '"'
        return f"SELECT {self.rowid + ', ' if self.rowid else ''}* FROM {table}"


class Legacy:
    """The process that runs the application's statements, on any number of files."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def open(self, path: Path) -> None:
        self._ask("open", str(path))

    def close(self, path: Path) -> None:
        self._ask("close", str(path))

    def run(self, path: Path, steps: Sequence[str], looks: Sequence[Look] = ()) -> list[Outcome]:
        """Run these statements one by one, and report on each."""
        seen = self._ask("run", str(path), list(steps), {look.table: look.sql() for look in looks})
        return [Outcome(*rest, Shown(*shown) if shown else None) for *rest, shown in seen]

    def instructions(self, path: Path, statement: str) -> int:
        """Run a statement, and count how many of SQLite's instructions it takes."""
        return int(self._ask("count", str(path), statement))

    def end(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def _ask(self, *question: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        answer = pickle.load(self._process.stdout)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve() -> None:
    open_files: dict[str, sqlite3.Connection] = {}
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError):
        while True:
            verb, path, *rest = pickle.load(questions)
            try:
                answer: Any = None
                if verb == "open":
                    open_files[path] = _connect(path)
                elif verb == "close":
                    open_files.pop(path).close()
                elif verb == "count":
                    answer = _count(open_files[path], *rest)
                else:
                    answer = _run(open_files[path], *rest)
            except Exception as error:  # noqa: BLE001 - the asking process raises it
                answer = error
            pickle.dump(answer, answers)
            answers.flush()


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.text_factory = _text
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, TRIGGER_DEPTH)
    # What only the application has, and we have not.
    connection.create_function("own_function", 1, lambda value: value, deterministic=True)
    connection.create_collation("own_collation", lambda a, b: (a > b) - (a < b))
    return connection


def _count(connection: sqlite3.Connection, step: str) -> int:
    """How many instructions SQLite takes for a statement."""
    counted = itertools.count()
    connection.set_progress_handler(lambda: next(counted) < 0, 1)
    connection.execute(step).fetchall()
    return next(counted)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


# What goes through the pipe is plain tuples: pickle would look for a class of this script's in
# `__main__`.
def _run(connection: sqlite3.Connection, steps: list[str], looks: dict[str, str]) -> Rows:
    return [_step(connection, step, looks) for step in steps]


def _step(connection: sqlite3.Connection, step: str, looks: dict[str, str]) -> tuple[Any, ...]:
    shown = None
    rows: Rows = []
    error = ""
    left = iter(range(PATIENCE))
    connection.set_progress_handler(lambda: next(left, None) is None, 1000)
    try:
        if step == CHECK:
            shown = _show(connection, looks)
        elif step == SETTLE:
            _settle(connection)
        else:
            rows = connection.execute(step).fetchall()
    except sqlite3.Error as caught:
        error = f"{type(caught).__name__}: {caught}"
    changes, last = connection.execute("SELECT changes(), last_insert_rowid()").fetchone()
    return rows, error, changes, last, connection.in_transaction, shown


def _settle(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("COMMIT")
        except sqlite3.IntegrityError:
            connection.execute("ROLLBACK")


def _show(connection: sqlite3.Connection, looks: dict[str, str]) -> tuple[Any, int] | None:
    if connection.in_transaction:
        return None
    tables = {table: connection.execute(sql).fetchall() for table, sql in looks.items()}
    installed = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = '_cdc_changelog'"
    ).fetchone()
    seq = 0
    if installed:
        (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM _cdc_changelog").fetchone()
    return tables, seq


if __name__ == "__main__":
    _serve()
