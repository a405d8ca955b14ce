"""The command line as a person or a service manager uses it: processes, exit codes, output."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cdc
from tests.support.waiting import wait_until

ROOT = Path(cdc.__file__).parents[1]
"""Where `import cdc` finds the package, installed or not."""

AS_USER = """
import getpass, encodings.idna, encodings.utf_8_sig, os, sys
from cdc.cli import main
from cdc.cli.main import build_app
from cdc.resources import load_sql
build_app([])
load_sql("postgres/state.sql")
user = int(sys.argv[1])
os.setgroups(())
os.setgid(user)
os.setuid(user)
main(sys.argv[2:])
"""
"""Root gives its rights up when all is imported: this Python may be closed to the other user."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """Runs `cdc` in `folder`. Whatever it prints must hold neither a traceback nor `secret`."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.folder = folder
        self.secret = secret
        self._started: list[RunningDaemon] = []

    def __call__(
        self,
        *arguments: object,
        seconds: float = 60.0,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> Outcome:
        """Run a command to its end, as another user where one is given."""
        process = self.begin(*arguments, environment=environment, user=user)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # shows where every thread stands
            _, err = process.communicate()
            raise AssertionError(f"did not end within {seconds:g} s: {err}") from None
        outcome = Outcome(process.returncode, out, err)
        self._check(outcome.out + outcome.err)
        return outcome

    def begin(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> "subprocess.Popen[str]":
        """Start a command, for a test that does something to it before its end."""
        start = ["-m", "cdc"] if user is None else ["-c", AS_USER, str(user)]
        return subprocess.Popen(
            [sys.executable, *start, *map(str, arguments)],
            cwd=self.folder,
            env=_environment(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def daemon(
        self, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> "RunningDaemon":
        """Start `cdc run --log-format json`."""
        log = self.folder / f"daemon-{len(self._started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "cdc", "run", "--log-format", "json", *map(str, arguments)],
                cwd=self.folder,
                env=_environment(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=out,
            )
        self._started.append(RunningDaemon(process, log))
        return self._started[-1]

    @property
    def last_daemon(self) -> "RunningDaemon":
        """The daemon that was started last."""
        return self._started[-1]

    def close(self) -> None:
        """Kill what still runs, and look through what all of them have said."""
        for daemon in self._started:
            daemon.kill()
        for daemon in self._started:
            self._check(daemon.text)

    def _check(self, text: str) -> None:
        assert "Traceback" not in text, text
        assert self.secret not in text, "a password was printed"


class RunningDaemon:
    """A running `cdc run`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log

    @property
    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log so far; what ends the command is a plain message and no line of the log."""
        whole = self.text.rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def said(self, action: str, **fields: object) -> list[dict[str, Any]]:
        """The log lines of an action with these fields."""
        return [
            line
            for line in self.lines
            if line["action"] == action and fields.items() <= line.items()
        ]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(
        self, action: str, seconds: float = 30.0, *, times: int = 1, **fields: object
    ) -> None:
        """Wait until an action was logged, that many times; the daemon must not end before."""

        def logged() -> bool:
            running = self.running
            if len(self.said(action, **fields)) >= times:
                return True
            assert running, f"the daemon ended: {self.text}"
            return False

        wait_until(logged, seconds, what=lambda: f"no {action} in {self.text}")

    def wait_until(self, condition: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait for a condition; the daemon must not end before it holds."""

        def holds() -> Any:
            running = self.running
            found = condition()
            assert found or running, f"the daemon ended: {self.text}"
            return found

        return wait_until(holds, seconds, what=lambda: self.text)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, seconds: float = 30.0) -> int:
        """The exit code, once it has ended."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGABRT)  # shows where every thread stands
            self._process.wait()
            raise AssertionError(f"did not end within {seconds:g} s: {self.text}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Ask it to stop, and return the exit code."""
        self.send(number)
        return self.ended(seconds)

    def kill(self) -> None:
        """What kill -9 does; harmless when it has ended."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def command(folder: Path, secret: str) -> Iterator[Command]:
    """A Command whose daemons do not outlive the block."""
    made = Command(folder, secret)
    try:
        yield made
    finally:
        made.close()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CDC_")}
    ours = {
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "PYTHONFAULTHANDLER": "1",
        "COLUMNS": "200",  # no table of the help or the status is cut
    }
    return kept | ours | dict(more)
