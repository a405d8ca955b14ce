"""The operator's commands around the switch: each with a time limit, its output kept."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from cdc.config import Config, HookConfig
from cdc.config.cutover import Moment
from cdc.redact import redact
from cdc.stop import uninterrupted

OUTPUT_BYTES: Final = 20_000
"""Of a hook's output the end is kept."""

DYING_SECONDS: Final = 5.0
"""For a hook that was killed to be gone."""


@dataclass(frozen=True, slots=True)
class HookRun:
    """How one hook ended: `output` is the end of both its streams, `problem` is "" where it did
    what it should. `code` is its exit code, None where it came to none.
    """

    on: str
    command: tuple[str, ...]
    seconds: float
    output: str
    problem: str
    code: int | None = None

    @property
    def name(self) -> str:
        return " ".join(self.command)


def runnable(config: Config, hook: HookConfig) -> str | None:
    """The program that a hook runs, None where there is none that this user may run."""
    directory, program = config.path.parent, hook.command[0]
    return shutil.which(str(directory / program) if "/" in program else program)


def run_all(config: Config, on: Moment, facts: Mapping[str, str]) -> Iterator[HookRun]:
    """Run the hooks of a moment one after another, up to the first that fails.

    They run in the directory of the configuration; `facts` are added to their environment, each
    name with CDC_ before it. A hook that takes too long, or during which this process is
    interrupted, is killed, with what it has started.
    """
    for hook in config.hooks:
        if hook.on == on:
            ended = _run(config, hook, facts)
            yield ended
            if ended.problem:
                return


def _run(config: Config, hook: HookConfig, facts: Mapping[str, str]) -> HookRun:
    started = time.monotonic()
    try:
        with tempfile.TemporaryFile() as out:
            problem, code = _end_of(config, hook, facts, out)
            output = _tail(out)
    except OSError as error:
        problem, code, output = f"its output could not be kept: {error.strerror}", None, ""
    return HookRun(hook.on, hook.command, time.monotonic() - started, output, problem, code)


def _end_of(
    config: Config, hook: HookConfig, facts: Mapping[str, str], out: IO[bytes]
) -> tuple[str, int | None]:
    program = runnable(config, hook)
    if program is None:
        return f"{hook.command[0]} is no program that this user may run", None
    process = None
    try:
        with uninterrupted():  # or one that is running already would not be known
            process = subprocess.Popen(  # noqa: S603  (the operator's own command, and no shell)
                [program, *hook.command[1:]],
                cwd=config.path.parent,
                env=os.environ | {f"CDC_{name}": value for name, value in facts.items()},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        code = process.wait(hook.timeout_seconds)
    except OSError as error:
        return f"could not be started: {error.strerror}", None
    except subprocess.TimeoutExpired:
        assert process is not None
        done = "was killed" if _kill(process) else "could not be killed, and still runs,"
        return f"{done} after {hook.timeout_seconds:g} s", None
    except BaseException:
        # Whoever is interrupted goes back, and what a hook still did would come in between.
        if process is not None:
            _kill(process)
        raise
    return ("" if code == 0 else f"ended with exit code {code}"), code


def _kill(process: subprocess.Popen[bytes]) -> bool:
    """Kill a hook with what it has started; False where this user may not, as after a sudo."""
    # A group that is not there any more: it has just ended, and nothing that it started is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(DYING_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tail(out: IO[bytes]) -> str:
    size = out.seek(0, os.SEEK_END)
    out.seek(max(0, size - OUTPUT_BYTES))
    return redact(out.read().decode("utf-8", "replace"))
