"""What a proof found, for whoever shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from cdc.schema import Key

EXAMPLES: Final = 20
"""Differences of a table that are kept with all their values."""

MOST_KEYS: Final = 100_000
"""Keys of differing rows that are kept for a repair; it takes so many at once."""

What = Literal["missing", "extra", "different"]

Kind = Literal["guard", "queue", "column", "not_null", "foreign_key", "sequence"]


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """One column of a row: what SQLite has, as SQL literal, and what PostgreSQL has, as text."""

    column: str
    source: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it should be; `key` in the SQL literals of SQLite."""

    what: What
    key: tuple[str, ...]
    columns: tuple[ColumnDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a target table that is not as it should be, besides its rows.

    One that `contradicts` keeps the proof from being clean: the table is not what equal rows are to
    be held by, or will not stay as it was proven.
    """

    kind: Kind
    text: str
    contradicts: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of a table, as it stands in PostgreSQL: `valid`, or None where it is missing.

    `orphans` are the rows that refer to none; None where `problem` kept them from being counted.
    """

    columns: tuple[str, ...]
    parent: str
    valid: bool | None
    orphans: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class KeySequence:
    """The sequence behind a key: the value that it gives next, beside the greatest key there is."""

    name: str
    column: str
    next_value: int
    greatest_key: int | None

    @property
    def behind(self) -> bool:
        """Whether it would give a key that is there, or was passed."""
        return self.greatest_key is not None and self.next_value <= self.greatest_key


@dataclass(slots=True)
class TableOutcome:
    """What was found for one table.

    `rows` are those of SQLite that were compared in this run, `expected` at most about how many the
    table has, where that is known; `kept_rows` are those of ranges that were proven before and not
    touched since, the oldest `kept_since`. `missing`, `extra` and `different`
    count rows. `altered` counts values for which the configuration has another one stored,
    `altered_columns` those of each column. `quarantined` and `dropped` rows are missing by rights;
    `target_rows` are those of PostgreSQL, where all of them were read in this run; `stale` are
    entries of the quarantine whose row is gone.
    `owed` are keys that could not be compared, since they kept changing or nothing was applied.
    `problem` says why the table could not be compared at all; `done` that it was, to its end.

    `position` is that of the last range; `guarded` says that the target refused other writers.
    `source_digest` and `target_digest` are those of the whole
    table, where every range was compared in this run and at rest.
    """

    name: str
    target: str
    rows: int = 0
    expected: int | None = None
    kept_rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    altered: int = 0
    quarantined: int = 0
    dropped: int = 0
    stale: int = 0
    owed: int = 0
    ranges: int = 0
    kept_ranges: int = 0
    position: int = 0
    guarded: bool = False
    seconds: float = 0.0
    source_digest: str | None = None
    target_digest: str | None = None
    problem: str = ""
    done: bool = False
    repaired: int = 0
    examples: list[Difference] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    target_rows: int | None = None
    kept_since: datetime | None = None
    altered_columns: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    sequence: KeySequence | None = None

    @property
    def to_compare(self) -> int:
        """About how many rows are compared in the end; no estimate any more once that is done."""
        return self.rows if self.done else max(self.rows, (self.expected or 0) - self.kept_rows)

    @property
    def differences(self) -> int:
        return self.missing + self.extra + self.different

    @property
    def equal(self) -> bool:
        """Whether every row was compared and none differs."""
        return self.done and not (self.differences or self.stale or self.owed or self.problem)

    @property
    def misshapen(self) -> bool:
        """Whether its columns are not those that could be compared."""
        return any(finding.kind == "column" for finding in self.findings)

    @property
    def sound(self) -> bool:
        """Whether nothing besides the rows contradicts the proof."""
        return not any(finding.contradicts for finding in self.findings)

    def count_altered(self, column: str, count: int) -> None:
        """Count values of a column of PostgreSQL in whose place the configuration has another."""
        if count:
            self.altered += count
            self.altered_columns[column] = self.altered_columns.get(column, 0) + count

    def note(self, difference: Difference, key: Key) -> None:
        """Count a difference, and keep it as long as there are few."""
        setattr(self, difference.what, getattr(self, difference.what) + 1)
        if len(self.examples) < EXAMPLES:
            self.examples.append(difference)
        if len(self.keys) < MOST_KEYS:
            self.keys.append(key)


@dataclass(slots=True)
class SourceOutcome:
    """What was found for one source. `captured_seq` and `applied_seq` as of the end.

    `problem` says why it could not be compared, and `problem_code` is the exit code of that.
    """

    name: str
    captured_seq: int = 0
    applied_seq: int = 0
    seconds: float = 0.0
    tables: list[TableOutcome] = field(default_factory=list)
    problem: str = ""
    problem_code: int = 0

    @property
    def in_flight(self) -> int:
        """Keys that could not be compared."""
        return sum(table.owed for table in self.tables)

    @property
    def guarded(self) -> bool:
        """Whether every target table refused other writers."""
        return all(table.guarded for table in self.tables)

    @property
    def converged(self) -> bool:
        return not self.problem and all(table.equal and table.sound for table in self.tables)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole answer. `full` says that nothing rests on an earlier proof."""

    sources: Sequence[SourceOutcome]
    full: bool
    started_at: datetime
    seconds: float

    @property
    def converged(self) -> bool:
        return all(source.converged for source in self.sources)

    @property
    def exit_code(self) -> int:
        """0 yes, 1 no or not to be told, 3 where a database could not be used."""
        return 0 if self.converged else max(1, *(each.problem_code for each in self.sources))
