"""The foreign keys of a source: what each becomes, and which rows refer to nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cdc.constraints import ForeignKey, folded
from cdc.mapping.table import MappedTable
from cdc.mapping.terms import NotTranslatable
from cdc.postgres.foreign_keys import ForeignKeyDesign, foreign_key
from cdc.postgres.references import configured
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.orphans import find_orphans
from cdc.sqlite.search import FoundRows


@dataclass(frozen=True, slots=True)
class ForeignKeyPlan:
    """One foreign key of a table, with the columns that it refers to.

    `design` is None, and `reason` says why, where PostgreSQL gets no such key. `orphans` is None
    where the columns referred to are not unique, so that nothing can refer to them, and where they
    are the rowid that stands for a key.
    """

    key: ForeignKey
    referred: tuple[str, ...]
    design: ForeignKeyDesign | None
    reason: str
    orphans: FoundRows | None

    def __str__(self) -> str:
        to = f" ({', '.join(self.referred)})" if self.referred else ""
        return f"({', '.join(self.key.columns)}) → {self.key.parent}{to}"


class Relations:
    """The tables of one file that foreign keys may lead to, by their folded names.

    `parents` are all that there are, None for one that cannot be captured or that nothing refers
    to; `mapped` are those that get a target.
    """

    def __init__(
        self,
        file: SourceFile,
        parents: Mapping[str, SourceTable | None],
        mapped: Mapping[str, MappedTable],
    ) -> None:
        self._file = file
        self._parents = parents
        self._mapped = mapped

    def of_table(
        self,
        child: SourceTable,
        *,
        lock_bound_seconds: float,
        advance: Callable[[int], object],
    ) -> Iterator[ForeignKeyPlan]:
        """Every foreign key of `child`, with its orphans."""
        for key in child.constraints.foreign_keys:
            parent = self._parents.get(folded(key.parent))
            referred = _referred(key, parent)
            orphans = None
            if parent is not None and _unique_collations(parent, referred) is not None:
                orphans = find_orphans(
                    self._file,
                    child,
                    key.columns,
                    parent.name,
                    referred,
                    lock_bound_seconds=lock_bound_seconds,
                    advance=advance,
                )
            try:
                design, reason = self._design(child, key, referred), ""
            except NotTranslatable as error:
                design, reason = None, str(error)
            yield ForeignKeyPlan(key, referred, design, reason, orphans)

    def _design(
        self, child: SourceTable, key: ForeignKey, referred: Sequence[str]
    ) -> ForeignKeyDesign:
        """The key in PostgreSQL. Raises NotTranslatable, which says why there is none."""
        name = folded(key.parent)
        if name not in self._parents:
            raise NotTranslatable("there is no such table")
        parent, mapped = self._parents[name], self._mapped.get(name)
        if parent is None or mapped is None:
            raise NotTranslatable(f"{key.parent} is not captured")
        _refuse_not_unique(key, parent, referred)
        return foreign_key(self._mapped[folded(child.name)], key, mapped)


def across_files(
    key: ForeignKey,
    child: MappedTable,
    parent: SourceTable,
    mapped: MappedTable,
    count: Callable[[Sequence[str]], FoundRows],
) -> ForeignKeyPlan:
    """A foreign key of the configuration; `count` finds the orphans, by the columns referred to."""
    referred = _referred(key, parent)
    try:
        if referred:  # without, it is the rowid, which is the target's key
            _refuse_not_unique(key, parent, referred)
        design = configured(foreign_key(child, key, mapped))
    except NotTranslatable as error:
        return ForeignKeyPlan(key, referred, None, str(error), None)
    return ForeignKeyPlan(key, referred, design, "", count(referred) if referred else None)


def _refuse_not_unique(key: ForeignKey, parent: SourceTable, referred: Sequence[str]) -> None:
    """Raise NotTranslatable where PostgreSQL lets nothing refer to these columns."""
    collations = _unique_collations(parent, referred)
    if collations is None:
        raise NotTranslatable(f"{key.parent} has no unique values there")
    if collations - {"BINARY"}:
        raise NotTranslatable("the values there are unique in a collation of SQLite's only")


def _referred(key: ForeignKey, parent: SourceTable | None) -> tuple[str, ...]:
    if key.parent_columns or parent is None:
        return key.parent_columns
    if parent.table.rowid_key:
        return ()
    return tuple(column.name for column in parent.table.key_columns)


def _unique_collations(parent: SourceTable, columns: Sequence[str]) -> set[str] | None:
    """The collations by which these columns are unique, None where they are not.

    What is not unique SQLite lets no row refer to.
    """
    wanted = {folded(column) for column in columns}
    table = parent.table
    if not table.rowid_key and wanted == {folded(column.name) for column in table.key_columns}:
        return {"BINARY"}  # PostgreSQL's key is, whatever SQLite's own compares by
    for index in parent.constraints.indexes:
        names = {folded(term.column or "") for term in index.terms}
        if index.unique and index.predicate is None and names == wanted:
            return {term.collation for term in index.terms}
    return None
