"""The DDL of a target table and of all that stands around it, made in this one place.

The replicator runs it and `cdc plan --ddl` prints it, so what is printed is what is made. Names
and texts are written so that any client may load them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from psycopg import sql

from cdc.constraints import (
    NO_CONSTRAINTS,
    Constraints,
    Index,
    IndexTerm,
    Untranslated,
    folded,
)
from cdc.mapping.default_values import default_value
from cdc.mapping.expressions import condition, expression
from cdc.mapping.extras import AskedIndex
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.terms import NotTranslatable, Term, column_terms, string
from cdc.postgres.extras import added_comment, added_text, storage_text
from cdc.postgres.generated import NO_GENERATION, Generation, generation
from cdc.postgres.identifiers import target_identifier, with_hash
from cdc.schema import Column

WHOLE_NUMBERS: Final = ("smallint", "integer", "bigint")


@dataclass(frozen=True, slots=True)
class IndexDesign:
    """A secondary index as it will be. `comment` is how it is known again in the catalogue.

    `second_name` is for where the first is taken by another relation of the schema: another file
    may have an index of the same name.
    """

    name: str
    second_name: str
    body: str
    unique: bool
    comment: str
    source: str

    def create(self, name: str | None = None) -> str:
        kind = "CREATE UNIQUE INDEX" if self.unique else "CREATE INDEX"
        return f"{kind} {quoted(name or self.name)} ON {self.body}"


@dataclass(frozen=True, slots=True)
class ColumnDesign:
    """A column as it will be: its name, quoted, its type, and what a value that is left out is.

    `default` is "" for none; that of an identity says nothing of values. `plain_name` is the name
    without quotes.
    """

    plain_name: str
    type: str
    not_null: bool
    default: str

    @property
    def name(self) -> str:
        return quoted(self.plain_name)

    @property
    def definition(self) -> str:
        not_null = " NOT NULL" if self.not_null else ""
        return f"{self.name} {self.type}{not_null}{self.default}"


@dataclass(frozen=True, slots=True)
class CheckDesign:
    """A CHECK as it will be: its name, its condition in PostgreSQL, and what SQLite has for it."""

    name: str
    condition: str
    text: str

    @property
    def definition(self) -> str:
        return f"CONSTRAINT {quoted(self.name)} CHECK ({self.condition})"


@dataclass(frozen=True, slots=True)
class TableDesign:
    """A target table: its statements, and what of the source they could not say.

    `columns` stand in the order of the table's.
    """

    table: MappedTable
    create: str
    columns: tuple[ColumnDesign, ...] = ()
    checks: tuple[CheckDesign, ...] = ()
    comments: tuple[str, ...] = ()
    generation: Generation = NO_GENERATION
    indexes: tuple[IndexDesign, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()


def design(table: MappedTable, constraints: Constraints = NO_CONSTRAINTS) -> TableDesign:
    """The target of a captured table with these constraints."""
    designer = _Designer(table, constraints)
    columns = tuple(designer.columns())
    checks = tuple(designer.checks())
    return TableDesign(
        table,
        designer.create(columns, checks),
        columns,
        checks,
        tuple(designer.comments()),
        designer.generation,
        tuple(designer.indexes()),
        tuple(designer.untranslated),
    )


def quoted(name: str) -> str:
    """A name as an identifier."""
    return sql.Identifier(name).as_string(None)


def qualified(table: MappedTable) -> str:
    """The name of a target table with its schema."""
    return sql.Identifier(table.schema, table.name).as_string(None)


@dataclass(slots=True)
class _Designer:
    """Builds the design of one table, and gathers what it cannot say."""

    table: MappedTable
    constraints: Constraints
    untranslated: list[Untranslated] = field(default_factory=list)
    terms: Mapping[str, Term] = field(init=False)
    generation: Generation = field(init=False)

    def __post_init__(self) -> None:
        self.terms = column_terms(_columns(self.table))
        self.generation = generation(self.table, self.constraints.generated)

    def create(self, columns: Sequence[ColumnDesign], checks: Sequence[CheckDesign]) -> str:
        key = name_list(column.name for column in self.table.key_columns)
        parts = [
            *(column.definition for column in columns),
            *map(added_text, self.table.extras.added),
            f"PRIMARY KEY ({key})",
            *(check.definition for check in checks),
        ]
        storage = self.table.extras.storage
        ending = f"\n) WITH ({storage_text(storage)})" if storage else "\n)"
        return f"CREATE TABLE {qualified(self.table)} (\n    " + ",\n    ".join(parts) + ending

    def columns(self) -> Iterator[ColumnDesign]:
        for both in _columns(self.table).values():
            yield self._column(*both)

    def comments(self) -> Iterator[str]:
        source = self.table.source
        yield f"COMMENT ON TABLE {qualified(self.table)} IS " + literal(
            f"Table {source.name} of SQLite, kept by cdc"
        )
        for column, target in _columns(self.table).values():
            text = f"{column.name} {column.declared}".strip()
            if expression_ := self.constraints.generated.get(column.name):
                text += f", generated there as ({expression_})"
            elif source.rowid_key and column is source.columns[0]:
                text = "The rowid in SQLite, as the table has no key"
            place = f"{qualified(self.table)}.{quoted(target.name)}"
            yield f"COMMENT ON COLUMN {place} IS {literal(text)}"
        for added in self.table.extras.added:
            yield added_comment(self.table, added)

    def indexes(self) -> Iterator[IndexDesign]:
        for index in self.constraints.indexes:
            try:
                yield self._index(index)
            except NotTranslatable as exc:
                self._leave_out(f"index {index.name}", _index_text(index), str(exc))
        for asked in self.table.extras.indexes:
            yield self._asked_index(asked)

    def _column(self, source: Column, target: TargetColumn) -> ColumnDesign:
        type_ = target.type
        in_key = target in self.table.key_columns
        # "C" is SQLite's BINARY order: a range in key order means the same rows on both sides.
        collation = ' COLLATE "C"' if in_key and _is_text(target) else ""
        identity = self.table.source.integer_key and in_key and type_.sql in WHOLE_NUMBERS
        ending = " GENERATED BY DEFAULT AS IDENTITY" if identity else self._default(source, target)
        required = not in_key and takes_no_null(source, target)
        if why := self.generation.reasons.get(source.name):
            self._leave_out(
                f"generated column {source.name}",
                self.constraints.generated[source.name],
                f"it becomes a plain column with the value that SQLite computes: {why}",
            )
        return ColumnDesign(target.name, type_.sql + collation, required, ending)

    def _default(self, source: Column, target: TargetColumn) -> str:
        text = self.constraints.defaults.get(source.name)
        if text is None:
            return ""
        try:
            value = default_value(text, source.affinity, target.type)
        except NotTranslatable as exc:
            self._leave_out(f"DEFAULT of {source.name}", text, str(exc))
            return ""
        return "" if value is None else f" DEFAULT {value}"

    def checks(self) -> Iterator[CheckDesign]:
        taken: set[str] = set()
        for check in self.constraints.checks:
            try:
                translated = condition(check.text, self.terms)
            except NotTranslatable as exc:
                named = f"CHECK {check.name}" if check.name else "CHECK"
                self._leave_out(named, check.text, str(exc))
                continue
            # In SQLite two checks may have one name.
            base = check.name or f"{self.table.name}_check"
            names = (base if n == 0 else f"{base}{n}" for n in range(len(taken) + 1))
            fitting = (target_identifier(name, self.table.fold) for name in names)
            name = next(name for name in fitting if name not in taken)
            taken.add(name)
            yield CheckDesign(name, translated, check.text)

    def _index(self, index: Index) -> IndexDesign:
        terms = ", ".join(self._index_term(term) for term in index.terms)
        where = f" WHERE {condition(index.predicate, self.terms)}" if index.predicate else ""
        body = f"{qualified(self.table)} ({terms}){where}"
        kind = "UNIQUE" if index.unique else ""
        comment = f"Index {index.name} of SQLite, kept by cdc ({_mark(f'{kind} {body}')})"
        name = self._index_name(index)
        second = self._second_name(name)
        return IndexDesign(name, second, body, index.unique, comment, index.name)

    def _asked_index(self, asked: AskedIndex) -> IndexDesign:
        """An index that the configuration asks for: for queries of PostgreSQL, in its own order."""
        columns = [self._asked_column(name) for name in asked.columns]
        ending = "key" if asked.unique else "idx"
        name = asked.name or f"{self.table.name}_{'_'.join(columns)}_{ending}"
        name = target_identifier(name)
        body = f"{qualified(self.table)} ({name_list(columns)})"
        kind = "UNIQUE" if asked.unique else ""
        comment = f"Index {name} of the configuration, kept by cdc ({_mark(f'{kind} {body}')})"
        return IndexDesign(name, self._second_name(name), body, asked.unique, comment, name)

    def _asked_column(self, name: str) -> str:
        """The name in PostgreSQL of a column of SQLite or of an added one."""
        is_added = any(added.name == name for added in self.table.extras.added)
        return name if is_added else target_column(self.table, name).name

    def _second_name(self, name: str) -> str:
        return with_hash(f"{self.table.name}_{name}", salt=0)

    def _index_name(self, index: Index) -> str:
        if index.declared:
            return target_identifier(index.name, self.table.fold)
        columns = "_".join(term.column or "expr" for term in index.terms)
        return target_identifier(f"{self.table.name}_{columns}_key", self.table.fold)

    def _index_term(self, term: IndexTerm) -> str:
        order = " DESC" if term.descending else ""
        # SQLite holds NULL for the smallest value, PostgreSQL for the largest.
        order += " NULLS LAST" if term.descending else " NULLS FIRST"
        if term.expression is not None:
            value = expression(term.expression, self.terms)
            if value.kind == "boolean":
                raise NotTranslatable("the outcome of a comparison is used as a number")
            if value.kind == "opaque":
                raise NotTranslatable(value.reason)
            text, is_text = f"({value.sql})", value.kind == "text"
        else:
            name = term.column or ""
            target = target_column(self.table, name)
            text, is_text = quoted(target.name), _is_text(target)
        if not is_text or term.collation == "BINARY":
            # In the column's own collation: under another one no plain query would use the index.
            return f"{text}{order}"
        if term.collation != "NOCASE":
            raise NotTranslatable(f"the collation {term.collation} has no equal")
        # NOCASE folds ASCII only, and so does lower() under "C"; no ICU is needed.
        return f'lower({text} COLLATE "C"){order}'

    def _leave_out(self, what: str, text: str, reason: str) -> None:
        self.untranslated.append(Untranslated(what, text, reason))


def takes_no_null(source: Column, target: TargetColumn) -> bool:
    """Whether a column is NOT NULL by what SQLite says of it; one of the key is so anyway."""
    return source.not_null and target.on_misfit != "null"


def _columns(table: MappedTable) -> dict[str, tuple[Column, TargetColumn]]:
    """Source and target of each column, by the source's name, in the target's order."""
    sources = table.source.columns
    return {sources[each.source].name: (sources[each.source], each) for each in table.columns}


def _is_text(column: TargetColumn) -> bool:
    return is_text_type(column.type.sql)


def is_text_type(type_: str) -> bool:
    return type_.startswith(("text", "varchar", "character"))


def target_column(table: MappedTable, name: str) -> TargetColumn:
    for own, (_, target) in _columns(table).items():
        if folded(own) == folded(name):
            return target
    raise NotTranslatable(f"{name} is no column of {table.schema}.{table.name}")


def name_list(names: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _mark(text: str) -> str:
    """By which an index that has changed is told from the one that it was."""
    return sha256(text.encode()).hexdigest()[:12]


def literal(text: str) -> str:
    return string(text.replace("\0", ""))


def _index_text(index: Index) -> str:
    terms = ", ".join(term.column or term.expression or "" for term in index.terms)
    return f"({terms})" + (f" WHERE {index.predicate}" if index.predicate else "")
