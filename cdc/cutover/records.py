"""The reports of runs, kept beside the configuration from their first phase on.

So that of a run that died can be told how far it came, with PostgreSQL or without.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cdc.config import Config
from cdc.cutover.intent import DIRECTORY
from cdc.cutover.phases import Report
from cdc.proof.outcome import Verdict

RUNS: Final = "runs"
MOST_KEPT: Final = 200
"""Reports; the oldest go."""


@dataclass(frozen=True, slots=True)
class Records:
    """The reports in one directory, each a file of JSON, whose names sort by time."""

    directory: Path

    def save(self, report: Report) -> None:
        """Keep a report as it is now. A disk that is full stops no cutover: the report says so."""
        path = self.directory / _name(report)
        fresh = path.with_suffix(".new")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(report))
            fresh.replace(path)
            self._prune()
        except OSError as error:
            words = f"the report could not be kept: {error}"
            if words not in report.trouble:
                report.trouble.append(words)
            with suppress(OSError):  # its directory is none
                fresh.unlink()

    def find(self, run: str) -> Report | None:
        """What is kept of a run."""
        return next((r for r in map(_read, self._paths()) if r and r.run == run), None)

    def take_over(self, report: Report, run: str) -> None:
        """Have a report go on where that of a run ends whose process died."""
        report.run = run
        if (earlier := self.find(run)) is not None:
            report.go_on(earlier)

    def last(self) -> Report | None:
        """The newest report that can be read."""
        return next(filter(None, map(_read, self._paths())), None)

    def _prune(self) -> None:
        for path in self._paths()[MOST_KEPT:]:
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        """All reports, newest first."""
        return sorted(self.directory.glob("*.json"), key=os.fspath, reverse=True)


def records_of(config: Config) -> Records:
    """Where the reports of a configuration are."""
    return Records(config.path.parent / DIRECTORY / RUNS)


def verdict_words(verdict: Verdict) -> list[str]:
    """What a proof that found no difference says of each source."""
    return [
        f"{source.name}: {sum(table.rows for table in source.tables):,} rows compared and"
        f" {sum(table.kept_rows for table in source.tables):,} kept from earlier proofs, equal"
        f" behind event {source.applied_seq:,}, in {source.seconds:.1f} s"
        for source in verdict.sources
    ]


def unproven_words(verdict: Verdict) -> str:
    """Why a proof did not find both sides equal."""
    different = [
        f"{source.name}.{table.name} in {table.differences:,} rows"
        for source in verdict.sources
        for table in source.tables
        if table.differences
    ]
    if different:
        return f"both sides differ: {', '.join(different)}"
    others = [f"{source.name}: {source.problem}" for source in verdict.sources if source.problem]
    for source in verdict.sources:
        for table in source.tables:
            name = f"{source.name}.{table.name}"
            if table.problem:
                others.append(f"{name}: {table.problem}")
            elif table.owed:
                others.append(f"{name}: {table.owed:,} rows never came to rest")
            elif not (table.equal and table.sound):
                others.append(name)
    return f"both sides could not be proven equal: {'; '.join(others)}"


def _name(report: Report) -> str:
    when = report.started_at.strftime("%Y%m%dT%H%M%S")
    return f"{when}-{report.direction}-{report.run[:8]}.json"


def _read(path: Path) -> Report | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):  # another version's, or half of one
        return None
