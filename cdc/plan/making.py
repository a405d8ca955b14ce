"""Making the plan: every file is opened, looked through and closed again; nothing is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cdc.config import Config, SourceConfig
from cdc.config.toml import toml_value
from cdc.constraints import folded
from cdc.crossing.fitting import Look
from cdc.crossing.mapper import TableMapper
from cdc.crossing.names import TargetNames, naming_of
from cdc.crossing.overrides import check_overrides, check_selection, table_config, wishes_of
from cdc.crossing.references import Reference, check, references_of
from cdc.errors import CaptureRefused, ConfigError, SourceUnavailable, TargetRefused
from cdc.mapping.table import MappedTable
from cdc.plan import advice
from cdc.plan.checks import broken_checks
from cdc.plan.entry import toml_key
from cdc.plan.names import changed_names, note_index_names
from cdc.plan.plan import Problem, Remedy, SourcePlan, TablePlan
from cdc.plan.relations import Relations, across_files
from cdc.plan.survey import Advance, survey
from cdc.plan.target import KnownTarget
from cdc.postgres.ddl import design
from cdc.sqlite import constraints, introspect, surroundings
from cdc.sqlite.captures import Captured, captured
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.orphans import End, find_orphans_across
from cdc.sqlite.rehearsal import refusals
from cdc.sqlite.search import FoundRows

Watch = Callable[[str, str], Advance]
"""Hears which table of which source is looked at next; what it returns hears of the rows."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the plan is about: one source or all, one table of each or all."""

    source: str | None = None
    table: str | None = None

    def sources(self, config: Config) -> tuple[SourceConfig, ...]:
        """The sources meant. Raises ConfigError where there is none of that name."""
        return config.sources if self.source is None else (config.source(self.source),)

    def has(self, table: str) -> bool:
        """Whether a table is meant; SQLite's names are case-insensitive."""
        return self.table is None or self.table.lower() == table.lower()


def make_plans(
    config: Config, selection: Selection, known: KnownTarget, watch: Watch
) -> list[SourcePlan]:
    """The plan of each source that is meant.

    Raises what keeps a file from being read at all, and ConfigError for a table that is not there.
    """
    sources = selection.sources(config)
    names = TargetNames(known.ours.values())
    plans = [
        _SourcePlanning(config, each, selection, known, names=names, watch=watch).make()
        for each in sources
    ]
    if selection.table is not None and not any(plan.names for plan in plans):
        raise ConfigError(
            f"No source has a captured table {selection.table!r}.",
            hint="See `cdc plan` without --table for those that there are.",
        )
    _note_shared_targets(plans)
    _add_references(config, plans, watch)
    note_index_names(plans)
    return plans


def _add_references(config: Config, plans: list[SourcePlan], watch: Watch) -> None:
    """The foreign keys of the configuration, but for those of which an end was not looked at."""
    tables = [(source.name, table) for source in plans for table in source.tables]
    for each in references_of(config):
        child, parent = (
            next((table for source, table in tables if end.is_table(source, table.name)), None)
            for end, _ in each.ends
        )
        if child is not None and parent is not None:
            count = _orphan_count(config, each, child.source, parent.source, watch)
            child.foreign_keys.append(
                across_files(each.key, child.mapped, parent.source, parent.mapped, count)
            )


def _orphan_count(
    config: Config, reference: Reference, child: SourceTable, parent: SourceTable, watch: Watch
) -> Callable[[Sequence[str]], FoundRows]:
    """Counts the orphans of a key between two files, by the columns that it refers to."""
    own, other = (config.source(end.source).path for end, _ in reference.ends)

    def count(referred: Sequence[str]) -> FoundRows:
        advance = watch(reference.child.source, f"{child.name}, foreign keys")
        with SourceFile(own, only_look=True) as file, SourceFile(other, only_look=True) as parents:
            return find_orphans_across(
                End(file, child, reference.key.columns),
                End(parents, parent, referred),
                lock_bound_seconds=config.replication.lock_bound_ms / 1000,
                advance=lambda seen: advance(seen, None),
            )

    return count


def _note_shared_targets(plans: list[SourcePlan]) -> None:
    """Two tables that become one, as a problem of the second."""
    first: dict[tuple[str, str], str] = {}
    for source in plans:
        for table in source.tables:
            label = f"table {table.name} of source {source.name}"
            target = (table.mapped.schema, table.mapped.name)
            if (other := first.setdefault(target, label)) != label:
                table.problems.append(
                    Problem(
                        f"{'.'.join(target)} is the target of {other} already.",
                        (_another_name(source, table),),
                        table=table.name,
                    )
                )


def _another_name(source: SourcePlan, table: TablePlan) -> Remedy:
    return Remedy(
        "Give one of the sources another schema in the configuration, or one of the tables another"
        " name:",
        (
            f"[sources.tables.{toml_key(table.name)}]",
            f"name = {toml_value(f'{table.name}_{source.name}')}",
        ),
    )


class _SourcePlanning:
    """Makes the plan of one source."""

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        selection: Selection,
        known: KnownTarget,
        *,
        names: TargetNames,
        watch: Watch,
    ) -> None:
        self._config = config
        self._source = source
        self._selection = selection
        self._known = known
        self._names = names
        self._watch = watch
        self._naming = naming_of(config, source)
        self._lock_bound = config.replication.lock_bound_ms / 1000
        self._plan = SourcePlan(source.name, str(source.path))

    def make(self) -> SourcePlan:
        path = self._source.path
        surroundings.check_owner(path)
        with SourceFile(path, only_look=True) as file:
            self._check_surroundings(file)
            self._note_schema(file)
            tables = self._capturable(file)
            self._check_references(tables)
            with file.reading():
                captures = {each.name: each for each in captured(file)}
            for table in tables:
                self._add(file, table, captures.get(table.name))
            self._add_foreign_keys(file, captures)
        return self._plan

    def _check_surroundings(self, file: SourceFile) -> None:
        """What keeps the daemon from starting."""
        try:
            surroundings.check_disk(file.path, self._config.replication.min_free_disk_mb)
            with file.reading():
                surroundings.check_file_system(file)
        except SourceUnavailable as error:
            self._plan.problems.append(advice.of_error(error))

    def _note_schema(self, file: SourceFile) -> None:
        """What there is, and what of it is left behind."""
        plan = self._plan
        with file.reading():
            names = introspect.table_names(file)
            plan.uncaptured = introspect.uncaptured(file)
            plan.triggers = constraints.application_triggers(file)
        check_selection(self._source, names)
        check_overrides(self._source, [name for name in names if self._source.captures(name)])
        plan.left_out = [name for name in names if not self._source.captures(name)]
        plan.names = [
            name for name in names if self._source.captures(name) and self._selection.has(name)
        ]

    def _check_references(self, tables: list[SourceTable]) -> None:
        if len(tables) == len(self._plan.names) and self._selection.table is None:
            columns = {each.name: [c.name for c in each.table.columns] for each in tables}
            check(self._config, self._source.name, columns)

    def _capturable(self, file: SourceFile) -> list[SourceTable]:
        """The tables that can be captured; why the others cannot is noted."""
        refused = refusals(file, self._plan.names)
        tables = []
        for name in self._plan.names:
            try:
                if name in refused:
                    raise refused[name]
                with file.reading():
                    tables.append(introspect.source_table(file, name))
            except CaptureRefused as error:
                self._plan.problems.append(advice.of_error(error, name))
        return tables

    def _add(self, file: SourceFile, table: SourceTable, capture: Captured | None) -> None:
        """Plan one table: its mapping, and what its rows say to that."""
        try:
            mapped, kept = self._mapping(file, table, capture)
        except TargetRefused as error:
            self._plan.problems.append(advice.of_error(error, table.name))
            return
        found = survey(
            file,
            table,
            mapped,
            lock_bound_seconds=self._lock_bound,
            advance=self._watch(self._source.name, table.name),
        )
        wanted = table_config(self._source, table)
        by_hand = wanted is not None and wanted.existing
        design_ = design(mapped, table.constraints)
        plan = TablePlan(table, mapped, found, design_, kept=kept, by_hand=by_hand)
        takes_all = self._config.replication.on_error == "quarantine"
        plan.problems += advice.of_table(plan, wanted, takes_all=takes_all)
        advance = self._watch(self._source.name, f"{table.name}, checks")
        plan.problems += broken_checks(
            file,
            plan,
            lock_bound_seconds=self._lock_bound,
            takes_all=takes_all,
            advance=lambda seen: advance(seen, None),
        )
        plan.problems += self._known.problems(plan)
        chosen = None if wanted is None else wanted.name
        plan.notes += changed_names(plan, wishes_of(self._source, table), chosen)
        self._plan.tables.append(plan)

    def _mapping(
        self, file: SourceFile, table: SourceTable, capture: Captured | None
    ) -> tuple[MappedTable, bool]:
        existing = self._known.ours.get((self._source.name, table.name))
        mapper = TableMapper(
            file, self._source, self._naming, look=Look(self._lock_bound), names=self._names
        )
        return mapper.mapping(table, capture, existing)

    def _add_foreign_keys(self, file: SourceFile, captures: Mapping[str, Captured]) -> None:
        """Look for orphans, once it is known which tables get a target."""
        with file.reading():
            names = {folded(name): name for name in introspect.table_names(file)}
        mapped = {folded(plan.name): plan.mapped for plan in self._plan.tables}
        parents: dict[str, SourceTable | None] = dict.fromkeys(names)
        referred = {
            folded(key.parent)
            for plan in self._plan.tables
            for key in plan.source.constraints.foreign_keys
        }
        for parent in sorted(referred & names.keys()):
            try:
                with file.reading():
                    table = introspect.source_table(file, names[parent])
                parents[parent] = table
                # A table that --table leaves out is captured all the same.
                if parent not in mapped and self._source.captures(table.name):
                    mapped[parent], _ = self._mapping(file, table, captures.get(table.name))
            except (CaptureRefused, TargetRefused):
                continue  # a problem of that table, told there
        relations = Relations(file, parents, mapped)
        for plan in self._plan.tables:
            advance = self._watch(self._source.name, f"{plan.name}, foreign keys")
            plan.foreign_keys += relations.of_table(
                plan.source,
                lock_bound_seconds=self._lock_bound,
                advance=lambda seen, advance=advance: advance(seen, None),  # type: ignore[misc]
            )
