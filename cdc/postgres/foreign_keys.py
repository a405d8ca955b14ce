"""The DDL of foreign keys, between targets as they are mapped or as the catalogue has them."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from cdc.constraints import ForeignKey
from cdc.mapping.table import MappedTable, TargetColumn
from cdc.mapping.terms import NotTranslatable
from cdc.postgres.ddl import (
    WHOLE_NUMBERS,
    is_text_type,
    literal,
    name_list,
    quoted,
    target_column,
)
from cdc.postgres.identifiers import target_identifier


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

    `columns` refer to `parent_columns` of `parent`; both tables are named as SQL takes them.
    `comment` is how one of the configuration is known again in the catalogue.
    """

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
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
        return [self.create, f"COMMENT ON CONSTRAINT {named} IS {literal(self.comment)}"]


def foreign_key(child: MappedTable, key: ForeignKey, parent: MappedTable) -> ForeignKeyDesign:
    """A foreign key; raises NotTranslatable where a column of it is not in the targets, or where
    PostgreSQL does not compare the types.
    """
    columns = [target_column(child, name) for name in key.columns]
    parent_columns = (
        [target_column(parent, name) for name in key.parent_columns]
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
        f"ALTER TABLE {child_name} ADD CONSTRAINT {quoted(name)} FOREIGN KEY ({name_list(own)})"
        f" REFERENCES {parent_name} ({name_list(referred)})"
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
    return ForeignKeyDesign(
        name, child_name, tuple(own), parent_name, tuple(referred), create, validate, orphans
    )


def _end(table: MappedTable, columns: Sequence[TargetColumn]) -> KeyEnd:
    named = tuple((column.name, column.type.sql) for column in columns)
    return KeyEnd(table.schema, table.name, named)


def _refuse_unlike(column: tuple[str, str], parent: tuple[str, str]) -> None:
    """Raise NotTranslatable where PostgreSQL has no foreign key between two types."""
    own, referred = (type_.partition("(")[0] for _, type_ in (column, parent))
    alike = (
        own == referred
        or (is_text_type(own) and is_text_type(referred))
        or (own in WHOLE_NUMBERS and referred in (*WHOLE_NUMBERS, "numeric"))
    )
    if not alike:
        raise NotTranslatable(f"{column[0]} becomes {own}, and {parent[0]} {referred}")
