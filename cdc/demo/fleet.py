"""Starts and stops the legacy services, each in a process of its own, and collects their reports.

This module runs in the replicator's process and never imports `sqlite3`.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cdc.errors import CdcError

SERVICES: Final = ("price_watcher", "trade_manager", "active_trade_supervisor", "account_sync")
"""The modules of `cdc.demo.services` that are services."""

STOP_SECONDS: Final = 15.0
"""How long `stop` waits for a service; one may be in the middle of its 5 s busy timeout."""

_LOG_TAIL_CHARACTERS: Final = 600


class ServiceFailed(CdcError):
    """A process of the legacy system ended with an error, or had to be killed."""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """What one service did while it ran: see `cdc.demo.services.desk.Tally` for the counts.

    At each beginning and at its end it looked for what it had written: `checked` counts the rows
    that it looked for, `lost` those that were not as it had left them, `doubled` those that were
    there twice.
    """

    service: str
    writes: int
    on_postgresql: int
    locked: int
    slowest_ms: float
    refused: int
    checked: int
    lost: int
    doubled: int


def make_history(directory: Path, *, seed: int | None = None) -> None:
    """Write the seven files with their history into `directory`, in a process of its own.

    Raises ServiceFailed where one of them is there already.
    """
    command = [sys.executable, "-m", "cdc.demo.history", str(directory)]
    if seed is not None:
        command += ["--seed", str(seed)]
    ended = subprocess.run(  # noqa: S603 (this interpreter, a module of ours, no shell)
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        process_group=0,  # Ctrl-C is for whoever waits for it
    )
    if ended.returncode != 0:
        raise ServiceFailed(f"The history could not be written: {ended.stderr.strip()}")


class Fleet:
    """The running services. They end when `stop` is called, and when this process dies.

    Each writes its log lines to `<name>.log` in `log_directory`.
    """

    def __init__(self, members: list["_Member"]) -> None:
        self._members = members

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        services: Iterable[str] = SERVICES,
        pace: float = 1.0,
        seed: int | None = None,
        log_directory: Path | None = None,
    ) -> Self:
        """Start `services` on the files in `directory`, `pace` times as busy as in real life.

        `log_directory` is `directory` where it is None. All are started, or none.
        """
        options = ["--pace", str(pace)] + ([] if seed is None else ["--seed", str(seed)])
        logs = log_directory or directory
        with contextlib.ExitStack() as undo:
            members = []
            for name in services:
                members.append(_Member.start(name, directory, options, logs / f"{name}.log"))
                undo.callback(members[-1].kill)
            undo.pop_all()
        return cls(members)

    @property
    def pids(self) -> dict[str, int]:
        """The process of each service."""
        return {member.name: member.pid for member in self._members}

    def failed(self) -> list[str]:
        """The services that have ended by themselves, which they never should."""
        return [member.name for member in self._members if member.ended]

    def stop(self, *, seconds: float = STOP_SECONDS) -> tuple[ServiceReport, ...]:
        """Let every service finish the write it is at, and return the reports.

        Raises ServiceFailed where one had ended with an error before, or did not end within
        `seconds` and was killed; all have ended in any case. A second call returns the same.
        """
        for member in self._members:
            member.ask_to_stop()
        endings = [member.finish(seconds) for member in self._members]
        if failures := [ending for ending in endings if isinstance(ending, ServiceFailed)]:
            raise failures[0]
        return tuple(ending for ending in endings if isinstance(ending, ServiceReport))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop the services; what went wrong inside the block is told before what they say."""
        with contextlib.ExitStack() as quiet:
            if kind is not None:
                quiet.enter_context(contextlib.suppress(ServiceFailed))
            self.stop()


class _Member:
    """One service's process.

    Its standard input is a pipe that nobody writes to. The service ends when the pipe closes,
    which the kernel sees to even if this process is killed; and unlike a signal, a closed pipe
    also reaches a service that is only just starting.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log
        self._ending: ServiceReport | ServiceFailed | None = None

    @classmethod
    def start(cls, name: str, directory: Path, options: list[str], log: Path) -> Self:
        module = f"cdc.demo.services.{name}"
        with log.open("ab") as errors:
            process = subprocess.Popen(  # noqa: S603 (this interpreter, a module of ours, no shell)
                [sys.executable, "-m", module, str(directory), "--watch-stdin", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # Ctrl-C is for whoever started the services, and who stops them in good order.
                process_group=0,
            )
        return cls(name, process, log)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask_to_stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def finish(self, seconds: float) -> ServiceReport | ServiceFailed:
        if self._ending is None:
            self._ending = self._collect(seconds)
        return self._ending

    def _collect(self, seconds: float) -> ServiceReport | ServiceFailed:
        # communicate() would flush the pipe that ask_to_stop has closed.
        self._process.stdin = None
        try:
            output, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._failure(f"did not stop within {seconds:g} s and was killed")
        if self._process.returncode != 0:
            return self._failure(f"ended with exit code {self._process.returncode}")
        return _report(output)

    def _failure(self, what: str) -> ServiceFailed:
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:]
        hint = f"The end of {self._log}:\n{tail.strip()}" if tail.strip() else ""
        return ServiceFailed(f"The service {self.name} {what}.", hint=hint)


def _report(output: str) -> ServiceReport:
    fields: dict[str, Any] = json.loads(output)
    return ServiceReport(**fields)
