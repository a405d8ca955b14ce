"""The plan of a migration, as values: what each table becomes, and what would be refused."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from cdc.mapping.table import MappedTable, TargetColumn
from cdc.plan.fit import Example, Findings
from cdc.plan.profile import ColumnProfile
from cdc.plan.relations import ForeignKeyPlan
from cdc.plan.survey import TableSurvey
from cdc.postgres.ddl import TableDesign
from cdc.postgres.script import statements
from cdc.schema import Column, Key
from cdc.sqlite.constraints import Trigger
from cdc.sqlite.introspect import SourceTable


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a problem; `lines` are for the configuration, right behind the `[[sources]]`
    of the source.
    """

    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What `cdc run` would refuse under this configuration, and what to do about it: any one of the
    remedies, of which the first loses nothing.

    `set_aside` says that it would not stop, but put the rows into quarantine. `examples` are the
    first values that it is about; `keys` those of the first rows, where it is about whole rows.
    """

    text: str
    remedies: tuple[Remedy, ...] = ()
    table: str | None = None
    column: str | None = None
    examples: tuple[Example, ...] = ()
    keys: tuple[Key, ...] = ()
    set_aside: bool = False


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column of a table: what it holds and what it becomes; `target` None where left out."""

    source: Column
    target: TargetColumn | None
    profile: ColumnProfile
    found: Findings
    in_key: bool


@dataclass(slots=True)
class TablePlan:
    """One captured table. `kept` says that its target is there already, and stays as it is;
    `by_hand` that the configuration wants one there that cdc did not make. `design` is the DDL of a
    new one, with what of the source it cannot say. `notes` are sentences about what is good to know
    and stops nothing.
    """

    source: SourceTable
    mapped: MappedTable
    survey: TableSurvey
    design: TableDesign
    kept: bool = False
    by_hand: bool = False
    foreign_keys: list[ForeignKeyPlan] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.source.name

    def left_out(self) -> Iterator[str]:
        """What of the table's schema PostgreSQL does not get, and why."""
        yield from map(str, self.design.untranslated)
        for each in self.foreign_keys:
            if each.design is None:
                yield f"foreign key {each}: {each.reason}"

    def columns(self) -> Iterator[ColumnPlan]:
        """Every column of the source, in its order."""
        targets = {target.source: i for i, target in enumerate(self.mapped.columns)}
        for i, column in enumerate(self.source.table.columns):
            at = targets.get(i)
            yield ColumnPlan(
                column,
                None if at is None else self.mapped.columns[at],
                self.survey.columns[i],
                Findings() if at is None else self.survey.fits[at].found,
                in_key=i in self.source.table.key,
            )


@dataclass(slots=True)
class SourcePlan:
    """One SQLite file.

    `names` are the tables to capture, `left_out` those that the configuration excludes, and
    `tables` the plans of those that can be captured. `uncaptured` pairs the name of what cannot be
    with its kind: virtual, shadow or view.
    """

    name: str
    path: str
    names: list[str] = field(default_factory=list)
    tables: list[TablePlan] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    uncaptured: list[tuple[str, str]] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def all_problems(self) -> Iterator[Problem]:
        """Those of the file, then those of its tables."""
        yield from self.problems
        for table in self.tables:
            yield from table.problems


@dataclass(frozen=True, slots=True)
class Plan:
    """All sources. `unasked` says why PostgreSQL was not asked, "" where it was."""

    sources: list[SourcePlan]
    unasked: str

    def statements(self) -> list[str]:
        """The DDL of all targets that cdc makes, in an order that loads into an empty database."""
        tables = [t for source in self.sources for t in source.tables if not t.by_hand]
        keys = [key.design for table in tables for key in table.foreign_keys]
        return statements([table.design for table in tables], list(filter(None, keys)))

    def columns(self) -> Iterator[ColumnPlan]:
        """Every column of every table."""
        for source in self.sources:
            for table in source.tables:
                yield from table.columns()

    @property
    def problems(self) -> list[Problem]:
        """What would be refused."""
        return [problem for problem in self._all() if not problem.set_aside]

    @property
    def set_aside(self) -> list[Problem]:
        """What would go to quarantine."""
        return [problem for problem in self._all() if problem.set_aside]

    def _all(self) -> Iterator[Problem]:
        for source in self.sources:
            yield from source.all_problems()
