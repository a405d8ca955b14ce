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
    ForeignKey,
    Index,
    IndexTerm,
    Untranslated,
    folded,
)
from cdc.mapping.default_values import default_value
from cdc.mapping.expressions import (
    NotTranslatable,
    Term,
    column_terms,
    condition,
    expression,
    string,
)
from cdc.mapping.extras import AskedIndex
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.postgres.extras import storage_text
from cdc.postgres.identifiers import target_identifier, with_hash
from cdc.schema import Column

_WHOLE_NUMBERS: Final = ("smallint", "integer", "bigint")


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

    `default` is "" for none; that of an identity says nothing of values.
    """

    name: str
    type: str
    not_null: bool
    default: str

    @property
    def definition(self) -> str:
        not_null = " NOT NULL" if self.not_null else ""
        return f"{self.name} {self.type}{not_null}{self.default}"


@dataclass(frozen=True, slots=True)
class TableDesign:
    """A target table: its statements, and what of the source they could not say.

    `columns` stand in the order of the table's, `checks` as they are in a CREATE TABLE.
    """

    table: MappedTable
    create: str
    columns: tuple[ColumnDesign, ...] = ()
    checks: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    indexes: tuple[IndexDesign, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyEnd:
    """One end of a foreign key: a target table, and its columns with their SQL types."""

    schema: str
    table: str
    columns: tuple[tuple[str, str], ...]

    @property
    def qualified(self) -> str:
        return sql.Identifier(self.schema, self.table).as_string(None)


@dataclass(frozen=True, slots=True)
class ForeignKeyDesign:
    """A foreign key of the target table `child`, and the query that counts its orphans.

    `comment` is how one of the configuration is known again in the catalogue.
    """

    name: str
    child: str
    create: str
    validate: str
    orphans: str
    comment: str = ""

    @property
    def statements(self) -> list[str]:
        """What makes the key, not yet valid."""
        if not self.comment:
            return [self.create]
        named = f"{quoted(self.name)} ON {self.child}"
        return [self.create, f"COMMENT ON CONSTRAINT {named} IS {_text(self.comment)}"]


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
        tuple(designer.indexes()),
        tuple(designer.untranslated),
    )


def statements(
    designs: Sequence[TableDesign], foreign_keys: Sequence[ForeignKeyDesign] = ()
) -> list[str]:
    """Everything in an order that loads into an empty database, each without a semicolon."""
    schemas = dict.fromkeys(each.table.schema for each in designs)
    taken = {(each.table.schema, each.table.name) for each in designs}
    taken |= {(schema, f"{name}_pkey") for schema, name in taken}
    return [
        *(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}" for schema in schemas),
        *(each.create for each in designs),
        *(comment for each in designs for comment in each.comments),
        *(
            index.create(_free_name(index, each.table.schema, taken))
            for each in designs
            for index in each.indexes
        ),
        *(statement for key in foreign_keys for statement in key.statements),
        *(key.validate for key in foreign_keys),
    ]


def _free_name(index: IndexDesign, schema: str, taken: set[tuple[str, str]]) -> str:
    """The name of an index, or its second one where a relation of the schema has the first."""
    name = index.second_name if (schema, index.name) in taken else index.name
    taken.add((schema, name))
    return name


def foreign_key(child: MappedTable, key: ForeignKey, parent: MappedTable) -> ForeignKeyDesign:
    """A foreign key; raises NotTranslatable where a column of it is not in the targets, or where
    PostgreSQL does not compare the types.
    """
    columns = [_target_column(child, name) for name in key.columns]
    parent_columns = (
        [_target_column(parent, name) for name in key.parent_columns]
        if key.parent_columns
        else list(parent.key_columns)
    )
    return foreign_key_between(_end(child, columns), key, _end(parent, parent_columns))


def foreign_key_between(child: KeyEnd, key: ForeignKey, parent: KeyEnd) -> ForeignKeyDesign:
    """A foreign key between these columns, with the actions of `key`; raises NotTranslatable where
    PostgreSQL does not compare the types.
    """
    own, referred = ([name for name, _ in end.columns] for end in (child, parent))
    if len(own) != len(referred):
        raise NotTranslatable(f"it has {len(own)} columns and refers to {len(referred)}")
    for column, referred_to in zip(child.columns, parent.columns, strict=True):
        _refuse_unlike(column, referred_to)
    name = target_identifier(f"{child.table}_{'_'.join(own)}_fkey")
    child_name, parent_name = child.qualified, parent.qualified
    create = (
        f"ALTER TABLE {child_name} ADD CONSTRAINT {quoted(name)} FOREIGN KEY ({_list(own)})"
        f" REFERENCES {parent_name} ({_list(referred)})"
        f" ON UPDATE {key.on_update} ON DELETE {key.on_delete}"
        + (" DEFERRABLE INITIALLY DEFERRED" if key.deferred else "")
        + " NOT VALID"
    )
    present = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column in own)
    same = " AND ".join(
        f"p.{quoted(b)} = c.{quoted(a)}" for a, b in zip(own, referred, strict=True)
    )
    orphans = (
        f"SELECT count(*) FROM {child_name} AS c WHERE {present}"  # noqa: S608  (names are quoted)
        f" AND NOT EXISTS (SELECT FROM {parent_name} AS p WHERE {same})"
    )
    validate = f"ALTER TABLE {child_name} VALIDATE CONSTRAINT {quoted(name)}"
    return ForeignKeyDesign(name, child_name, create, validate, orphans)


def _end(table: MappedTable, columns: Sequence[TargetColumn]) -> KeyEnd:
    named = tuple((column.name, column.type.sql) for column in columns)
    return KeyEnd(table.schema, table.name, named)


def _refuse_unlike(column: tuple[str, str], parent: tuple[str, str]) -> None:
    """Raise NotTranslatable where PostgreSQL has no foreign key between two types."""
    own, referred = (type_.partition("(")[0] for _, type_ in (column, parent))
    alike = (
        own == referred
        or (_is_text_type(own) and _is_text_type(referred))
        or (own in _WHOLE_NUMBERS and referred in (*_WHOLE_NUMBERS, "numeric"))
    )
    if not alike:
        raise NotTranslatable(f"{column[0]} becomes {own}, and {parent[0]} {referred}")


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
    terms: Mapping[str, Term | str] = field(init=False)

    def __post_init__(self) -> None:
        self.terms = column_terms(_columns(self.table))

    def create(self, columns: Sequence[ColumnDesign], checks: Sequence[str]) -> str:
        key = _list(column.name for column in self.table.key_columns)
        parts = [*(column.definition for column in columns), f"PRIMARY KEY ({key})", *checks]
        storage = self.table.extras.storage
        ending = f"\n) WITH ({storage_text(storage)})" if storage else "\n)"
        return f"CREATE TABLE {qualified(self.table)} (\n    " + ",\n    ".join(parts) + ending

    def columns(self) -> Iterator[ColumnDesign]:
        for both in _columns(self.table).values():
            yield self._column(*both)

    def comments(self) -> Iterator[str]:
        source = self.table.source
        yield f"COMMENT ON TABLE {qualified(self.table)} IS " + _text(
            f"Table {source.name} of SQLite, kept by cdc"
        )
        for column, target in _columns(self.table).values():
            text = f"{column.name} {column.declared}".strip()
            if expression_ := self.constraints.generated.get(column.name):
                text += f", generated there as ({expression_})"
            elif source.rowid_key and column is source.columns[0]:
                text = "The rowid in SQLite, as the table has no key"
            yield (
                f"COMMENT ON COLUMN {qualified(self.table)}.{quoted(target.name)} IS {_text(text)}"
            )

    def indexes(self) -> Iterator[IndexDesign]:
        for index in self.constraints.indexes:
            try:
                yield self._index(index)
            except NotTranslatable as exc:
                self._leave_out(f"index {index.name}", _index_text(index), str(exc))
        for asked in self.table.extras.indexes:
            yield self._asked_index(asked)

    def _column(self, source: Column, target: TargetColumn) -> ColumnDesign:
        name, type_ = quoted(target.name), target.type
        in_key = target in self.table.key_columns
        # "C" is SQLite's BINARY order: a range in key order means the same rows on both sides.
        collation = ' COLLATE "C"' if in_key and _is_text(target) else ""
        identity = self.table.source.integer_key and in_key and type_.sql in _WHOLE_NUMBERS
        ending = " GENERATED BY DEFAULT AS IDENTITY" if identity else self._default(source, target)
        required = source.not_null and not in_key and target.on_misfit != "null"
        if expression_ := self.constraints.generated.get(source.name):
            self._leave_out(
                f"generated column {source.name}",
                expression_,
                "it becomes a plain column with the value that SQLite computes",
            )
        return ColumnDesign(name, type_.sql + collation, required, ending)

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

    def checks(self) -> Iterator[str]:
        for check in self.constraints.checks:
            try:
                translated = condition(check.text, self.terms)
            except NotTranslatable as exc:
                named = f"CHECK {check.name}" if check.name else "CHECK"
                self._leave_out(named, check.text, str(exc))
                continue
            name = f"CONSTRAINT {quoted(target_identifier(check.name))} " if check.name else ""
            yield f"{name}CHECK ({translated})"

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
        columns = [_target_column(self.table, name).name for name in asked.columns]
        ending = "key" if asked.unique else "idx"
        name = asked.name or f"{self.table.name}_{'_'.join(columns)}_{ending}"
        name = target_identifier(name)
        body = f"{qualified(self.table)} ({_list(columns)})"
        kind = "UNIQUE" if asked.unique else ""
        comment = f"Index {name} of the configuration, kept by cdc ({_mark(f'{kind} {body}')})"
        return IndexDesign(name, self._second_name(name), body, asked.unique, comment, name)

    def _second_name(self, name: str) -> str:
        return with_hash(f"{self.table.name}_{name}", salt=0)

    def _index_name(self, index: Index) -> str:
        if index.declared:
            return target_identifier(index.name)
        columns = "_".join(term.column or "expr" for term in index.terms)
        return target_identifier(f"{self.table.name}_{columns}_key")

    def _index_term(self, term: IndexTerm) -> str:
        order = " DESC" if term.descending else ""
        # SQLite holds NULL for the smallest value, PostgreSQL for the largest.
        order += " NULLS LAST" if term.descending else " NULLS FIRST"
        if term.expression is not None:
            value = expression(term.expression, self.terms)
            if value.kind == "boolean":
                raise NotTranslatable("the outcome of a comparison is used as a number")
            text, is_text = f"({value.sql})", value.kind == "text"
        else:
            name = term.column or ""
            target = _target_column(self.table, name)
            text, is_text = quoted(target.name), _is_text(target)
        if not is_text or term.collation == "BINARY":
            collation = ' COLLATE "C"' if is_text else ""
            return f"{text}{collation}{order}"
        if term.collation != "NOCASE":
            raise NotTranslatable(f"the collation {term.collation} has no equal")
        # NOCASE folds ASCII only, and so does lower() under "C"; no ICU is needed.
        return f'lower({text} COLLATE "C"){order}'

    def _leave_out(self, what: str, text: str, reason: str) -> None:
        self.untranslated.append(Untranslated(what, text, reason))


def _columns(table: MappedTable) -> dict[str, tuple[Column, TargetColumn]]:
    """Source and target of each column, by the source's name, in the target's order."""
    sources = table.source.columns
    return {sources[each.source].name: (sources[each.source], each) for each in table.columns}


def _is_text(column: TargetColumn) -> bool:
    return _is_text_type(column.type.sql)


def _is_text_type(type_: str) -> bool:
    return type_.startswith(("text", "varchar", "character"))


def _target_column(table: MappedTable, name: str) -> TargetColumn:
    for own, (_, target) in _columns(table).items():
        if folded(own) == folded(name):
            return target
    raise NotTranslatable(f"{name} is no column of {table.schema}.{table.name}")


def _list(names: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _mark(text: str) -> str:
    """By which an index that has changed is told from the one that it was."""
    return sha256(text.encode()).hexdigest()[:12]


def _text(text: str) -> str:
    return string(text.replace("\0", ""))


def _index_text(index: Index) -> str:
    terms = ", ".join(term.column or term.expression or "" for term in index.terms)
    return f"({terms})" + (f" WHERE {index.predicate}" if index.predicate else "")
