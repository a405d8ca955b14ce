"""The story of the demo: one step after another, each with the command that an operator types."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from cdc.cli import demo_report
from cdc.cli.display import Display
from cdc.cli.output import DATA
from cdc.demo import premises
from cdc.demo.fleet import Fleet
from cdc.demo.performance import CommandFailed, Stage
from cdc.errors import SourceBusy
from cdc.pipeline.progress import SourceState
from cdc.postgres import switches
from cdc.postgres.connection import Target

COMMAND_STYLE: Final = "cyan"

ATTEMPTS: Final = 3

Shown = Callable[[list[str]], list[str]]
"""Chooses lines of a report."""

_DETAILS: Final = ("proven: ", "event: ", "had the files open", "have them open")
"""How lines of a switch's report begin that mean little to who has never seen one."""


def _without_details(report: list[str]) -> list[str]:
    return [line for line in report if not line.startswith(_DETAILS)]


def _outcome(report: list[str]) -> list[str]:
    return report[:2]


def _conclusion(report: list[str]) -> list[str]:
    return report[-1:]


class Story:
    """Tells the demo, and has it happen."""

    def __init__(
        self, directory: Path, target: Target, stage: Stage, fleet: Fleet, seconds: float
    ) -> None:
        self._directory = directory
        self._config = str(directory / premises.CONFIG)
        self._target = target
        self._stage = stage
        self._fleet = fleet
        self._seconds = seconds
        self._steps = 0
        self._freezes: list[tuple[str, float]] = []

    def tell(self) -> bool:
        """From the first step to the last; whether nothing was lost. Raises CdcError."""
        self._copy_and_follow()
        self._prove()
        self._cut_over()
        self._go_back()
        self._cut_over_again()
        return self._end()

    def _copy_and_follow(self) -> None:
        self._step(
            "A trading system, live",
            f"Seven SQLite files with a month of history: {self._directory / premises.FILES}",
            "Four services write to them, as they do every day, and go on to the end.",
        )
        self._step("Copy what is there, and follow every change")
        self._show_command("run")
        self._watch(SourceState.TAILING)
        premises.admit(self._target)

    def _prove(self) -> None:
        self._step("Prove that both sides hold the same rows, while both move")
        self._verify()

    def _cut_over(self) -> None:
        self._step("Look whether the switch may be made; this changes nothing")
        self._gates()
        self._step(
            "Switch to PostgreSQL, while the services go on writing",
            "All files are held for a moment, the last events applied and proven, the files",
            "sealed, PostgreSQL opened. Then the hooks: the services read their environment",
            "again, and the regression suite tries the system on PostgreSQL.",
        )
        self._switch("cutover", "forward", _without_details)
        self._step(
            "PostgreSQL is the master; what is written there flows back to SQLite",
            "As before, cdc lag and cdc status tell at any time how far it is.",
        )
        self._watch(SourceState.RETURNING)

    def _go_back(self) -> None:
        self._step(
            "Go back, as if something were wrong: no write to PostgreSQL is lost",
            "PostgreSQL is closed, its last writes are brought back and proven, and the files",
            "are opened again.",
        )
        self._switch("rollback", "back", _without_details)
        self._step("SQLite is the master again")
        self._watch(SourceState.TAILING)

    def _cut_over_again(self) -> None:
        self._step("Switch again, after another full proof")
        self._verify(_conclusion)
        self._switch("cutover", "forward", _outcome)
        self._watch(SourceState.RETURNING)

    def _end(self) -> bool:
        self._step(
            "Was anything lost? The services stop",
            "Each looks for every row that it has written, as it did after each switch: it",
            "must be as the last acknowledged write has left it, whichever side took that.",
        )
        reports = self._fleet.stop()
        demo_report.print_services(reports)
        self._step(
            "Every row of both sides, compared once more",
            "By cdc, now that PostgreSQL is the master, and by a program that knows nothing of it.",
        )
        self._stage.drain()
        self._verify(_conclusion)
        program = self._directory / premises.PROGRAMS / "compare"
        self._say(f"$ {program}", style=COMMAND_STYLE)
        equal = self._stage.run([str(program.absolute())]) == 0
        kept = not any(report.lost or report.doubled for report in reports)
        self._say()
        demo_report.print_ending(reports, self._freezes, equal=equal)
        self._say(f"Look around: cdc status -c {self._config}")
        return equal and kept

    def _switch(self, command: str, direction: switches.Direction, shown: Shown) -> None:
        """Run a cutover or a rollback. On a machine that is too busy to hold the files for as long
        as it takes it gives up unharmed, and an operator runs it again.
        """
        before = self._last(direction)
        self._tried(
            lambda: self._report(command, "--yes", shown=shown),
            (command, "--yes"),
            passing=lambda _: self._last(direction) == before,
            told="Nothing was switched, and all goes on as before. Once more:",
        )
        last = self._last(direction)
        if last is not None and last.freeze_seconds is not None:
            self._freezes.append((command, last.freeze_seconds))

    def _last(self, direction: switches.Direction) -> switches.Switch | None:
        with self._target.lease() as conn:
            return switches.last(conn, direction)

    def _watch(self, state: SourceState) -> None:
        with Display(self._stage.sources, DATA, live=DATA.is_terminal) as display:
            self._stage.watch(self._seconds, state, display.show)
        demo_report.print_lag(self._stage.sources)

    def _gates(self) -> None:
        """Look at the gates. A machine that stands still for a moment is further behind than the
        lag may be, and catches up at once.
        """

        def look() -> int:
            self._show_command("cutover", "--dry-run")
            code, report = self._captured("cutover", "--dry-run", "--json")
            if report:
                demo_report.print_gates(msgspec.json.decode(report))
            return code

        self._tried(
            look,
            ("cutover", "--dry-run"),
            passing=lambda _: True,
            told="Nothing was changed. Once more, for this may have passed:",
        )

    def _verify(self, shown: Shown | None = None) -> None:
        """Prove every row. That a file was locked for a moment is not the answer that the sides
        differ.
        """
        words = ("verify", "--full")
        self._tried(
            lambda: self._report(*words, shown=shown) if shown else self._command(*words),
            words,
            passing=lambda code: code == SourceBusy.exit_code,
            told="That could not be told. Once more:",
        )

    def _tried(
        self,
        run: Callable[[], int],
        words: tuple[str, ...],
        *,
        passing: Callable[[int], bool],
        told: str,
    ) -> None:
        """Run a command that must succeed, and again where what it has met may be `passing`, by its
        exit code. Raises CommandFailed.
        """
        code = run()
        for _ in range(ATTEMPTS - 1):
            if code == 0 or not passing(code):
                break
            self._say(f"   {told}")
            code = run()
        self._check(code, *words)

    def _command(self, *words: str) -> int:
        """Run a command of cdc's, which shows everything itself; its exit code."""
        self._show_command(*words)
        return self._stage.run(self._words(*words))

    def _report(self, *words: str, shown: Shown) -> int:
        """Run a command of cdc's, and show what is of interest here; its exit code."""
        self._show_command(*words)
        code, report = self._captured(*words)
        lines = report.splitlines()
        for line in lines if code else shown(lines):
            self._say(line)
        return code

    def _captured(self, *words: str) -> tuple[int, str]:
        with tempfile.TemporaryFile() as output:
            code = self._stage.run(self._words(*words), output)
            output.seek(0)
            return code, output.read().decode()

    def _check(self, code: int, *words: str) -> None:
        if code:
            raise CommandFailed(
                f"cdc {' '.join(words)} ended with exit code {code}.", hint="See above."
            )

    def _words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "cdc", *words, "-c", self._config]

    def _show_command(self, *words: str) -> None:
        self._say(f"$ cdc {' '.join(words)} -c {self._config}", style=COMMAND_STYLE)

    def _step(self, title: str, *lines: str) -> None:
        self._steps += 1
        self._say()
        self._say(f"{self._steps}. {title}", style="bold")
        for line in lines:
            self._say(f"   {line}")

    def _say(self, words: str = "", *, style: str = "") -> None:
        DATA.print(words, markup=False, style=style)
