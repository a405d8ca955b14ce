"""What a SQLite table says about its rows besides their columns, in the words of both sides.

Texts of expressions are SQLite's, as they stand in its schema; `mapping.expressions` translates
those whose meaning is surely the same. These values know neither database.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IndexTerm:
    """One term of an index: a column's name or an expression's text, and how it is sorted."""

    column: str | None
    expression: str | None = None
    collation: str = "BINARY"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index. `declared` is false for one that a UNIQUE in the table's DDL made, whose
    name then is SQLite's own. `predicate` is the WHERE clause of a partial index.
    """

    name: str
    terms: tuple[IndexTerm, ...]
    unique: bool = False
    predicate: str | None = None
    declared: bool = True


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`parent_columns` is empty where the parent's primary key is meant."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...] = ()
    on_update: str = "NO ACTION"
    on_delete: str = "NO ACTION"
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK of a column or of the table, with its name if it has one."""

    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Constraints:
    """All of one table. `defaults` and `generated` are expressions by the column's name."""

    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    defaults: dict[str, str] = field(default_factory=dict)
    generated: dict[str, str] = field(default_factory=dict)
    autoincrement: bool = False


@dataclass(frozen=True, slots=True)
class Untranslated:
    """Something of SQLite's schema that has no faithful form in the target, and why not.

    `what` names it ("CHECK", "DEFAULT of status", "index by_day"), `text` is its SQL there.
    """

    what: str
    text: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.text} ({self.reason})"
            if self.text
            else (f"{self.what} ({self.reason})")
        )


NO_CONSTRAINTS = Constraints()


def folded(name: str) -> str:
    """A name as SQLite compares names: only ASCII letters are folded.

    >>> folded("Straße"), folded("É")
    ('straße', 'É')
    """
    return "".join(c.lower() if c.isascii() else c for c in name)
