"""Hold, drain, prove, seal: all files at one moment, or none and another try."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cdc.config import Config
from cdc.crossing.pairs import pairs
from cdc.cutover.atrest import AtRest
from cdc.cutover.parentage import Parentage
from cdc.cutover.phases import Aborted, Report
from cdc.errors import HoldEnded, SchemaMoved, SourceBusy
from cdc.postgres import sequences, state
from cdc.postgres.connection import Target
from cdc.sqlite import direction, numbers
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.hold import Hold
from cdc.sqlite.moves import application_schema

POLL_SECONDS: Final = 0.001
PAUSE_SECONDS: Final = 0.3
"""Between two attempts, about: the services do what has waited, and the daemon applies it."""

AGAIN: Final = (SourceBusy, HoldEnded, SchemaMoved)
"""What another attempt may not meet."""


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """What is known of a source before the hold: its schema, and for the tables whose rows
    PostgreSQL numbers the key column in SQLite and the sequence.
    """

    schema: int
    columns: Mapping[str, str]
    sequences: Mapping[str, str]


class Freezing:
    """The attempts of one run to seal all files in a proven state.

    `at` hears of each state that is reached: looked, held, drained, proven.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        at_rest: AtRest,
        parentage: Parentage,
        *,
        report: Report,
        at: Callable[[str], object],
    ) -> None:
        self._config = config
        self._target = target
        self._report = report
        self._at_rest = at_rest
        self._parentage = parentage
        self._at = at
        self._keys = {source.name: self._look(source.name) for source in config.sources}
        self._names = {source.path: source.name for source in config.sources}
        self.first_held: float | None = None
        """By the monotonic clock, when the first file was held."""

    def seal(self, epoch: int, reason: str, record_intent: Callable[[], None]) -> dict[str, int]:
        """Seal all files; the highest number used, by sequence.

        They take rows from PostgreSQL from then on, once its gate has moved on from `epoch`. Raises
        Aborted where no attempt succeeds, or both sides differ; SealIncomplete, after which files
        may be sealed; other errors with nothing sealed.
        """
        budget = next(p for p in self._report.phases if p.name == "freeze").budget_seconds
        end = time.monotonic() + budget
        last = ""
        for _ in range(self._config.cutover.attempts):
            self._parentage.look_again()
            self._at("looked")
            try:
                return self._attempt(epoch, reason, record_intent)
            except AGAIN as error:
                last = str(error)
            if time.monotonic() > end:
                raise Aborted(f"the files could not be held within {budget:g} s: {last}")
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  (no secret)
        raise Aborted(
            f"the files were held {len(self._report.held)} times, never long enough: {last}",
            hint="Look for long transactions and slow disks; raise attempts or hold_ms in"
            " [cutover], or stop the busiest services by a stop hook.",
        )

    def _look(self, name: str) -> SourceKeys:
        with self._target.lease() as conn, SourceFile(self._config.source(name).path) as file:
            mapped = [pair.mapped for pair in pairs(conn, file, name)]
            behind = sequences.of_tables(conn, mapped)
            keys = {
                table.source.name: table.source.columns[table.key[0]].name
                for table in mapped
                if table.source.name in behind
            }
            with file.reading():
                return SourceKeys(application_schema(file), keys, behind)

    def _attempt(
        self, epoch: int, reason: str, record_intent: Callable[[], None]
    ) -> dict[str, int]:
        paths = [source.path for source in self._config.sources]
        seconds = self._config.cutover.hold_ms / 1000
        with Hold(paths, limit_seconds=seconds) as hold:
            self._at_rest.settle()
            try:
                hold.take()
                self.first_held = self.first_held or time.monotonic()
                self._at("held")
                self._check_schemas(hold)
                hold.freeze(reason)
                hold.each(lambda file: direction.arm(file, epoch + 1))
                self._report.positions = self._drain(hold)
                self._at("drained")
                self._prove(hold, seconds)
                self._at("proven")
                used = hold.each(self._numbers)
                hold.seal(record_intent)
            finally:
                self._report.held.append(hold.seconds)
        return {
            self._keys[self._names[path]].sequences[table]: number
            for path, of_file in used.items()
            for table, number in of_file.items()
        }

    def _check_schemas(self, hold: Hold) -> None:
        for path, schema in hold.each(application_schema).items():
            if schema != self._keys[self._names[path]].schema:
                raise Aborted(
                    f"The schema of {path} changed since the preflight.",
                    hint="Let cdc run take it up, and run the command again.",
                )

    def _drain(self, hold: Hold) -> dict[str, int]:
        """Wait until PostgreSQL has all events; the daemon applies them, woken by the last one.

        Returns the last event of each source.
        """
        ends = {
            self._names[path]: end
            for path, end in hold.each(lambda file: Changelog(file).newest()).items()
        }
        with self._target.lease() as conn:
            while True:
                known = {source.name: source.applied_seq for source in state.sources(conn)}
                if all(known.get(name, -1) >= end for name, end in ends.items()):
                    return ends
                hold.check()
                time.sleep(POLL_SECONDS)

    def _prove(self, hold: Hold, seconds: float) -> None:
        """What is found to differ counts only if all was held still until it was found."""
        try:
            changes = self._at_rest.check(seconds)
            self._parentage.check(changes, seconds)
        except Aborted:
            hold.check()
            raise
        hold.check()

    def _numbers(self, file: SourceFile) -> dict[str, int]:
        return numbers.highest(file, self._keys[self._names[file.path]].columns)
