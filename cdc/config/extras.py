"""The sections about what a target table has that SQLite does not."""

from typing import Annotated, Final

from msgspec import Meta

from cdc.config.section import Section
from cdc.mapping.extras import AddedColumn, AskedIndex, StorageValue, check_expression
from cdc.mapping.types import NAMES, target_type

_TYPES: Final = tuple(name for name in NAMES if name != "literal")


def _check_type(name: str) -> None:
    """Raise ValueError where a column that SQLite does not have can have no such type."""
    if name == "literal":
        raise ValueError("it holds values of SQLite")
    target_type(name)


Expression = Annotated[
    str,
    Meta(
        extra={
            "allowed": 'an SQL expression, such as "now()", without comments and semicolons',
            "check": check_expression,
        }
    ),
]

Storage = Annotated[
    dict[str, StorageValue],
    Meta(
        description="Storage parameters of the table: PostgreSQL's names for a table's, also those "
        'behind "toast.", with numbers, true or false. A change is carried out at the next start.',
        extra={"allowed": "a table such as { fillfactor = 90 }"},
    ),
]


class IndexConfig(Section, frozen=True, kw_only=True):
    """`[[sources.tables.TABLE.indexes]]`: an index that SQLite does not have."""

    columns: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            min_length=1,
            description="The columns, by their names in SQLite, in the order of the index; added "
            "ones by their own.",
            extra={"allowed": 'a list of columns such as ["status", "date"]'},
        ),
    ]
    unique: Annotated[
        bool,
        Meta(
            description="Whether no two rows may agree in all of them. Rows that do keep such an "
            "index from being made; `cdc status` says so."
        ),
    ] = False
    name: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="What the index is called; without it, after the table and the columns.",
            extra={"allowed": "a name of 1 to 63 bytes", "max_bytes": 63},
        ),
    ] = None

    @property
    def asked(self) -> AskedIndex:
        """The same in the words of the mapping."""
        return AskedIndex(self.columns, self.unique, self.name)


class AddedConfig(Section, frozen=True, kw_only=True):
    """`[sources.tables.TABLE.added.COLUMN]`: a column that SQLite does not have."""

    type: Annotated[
        str,
        Meta(
            description="The type of the column.",
            extra={
                "allowed": "one of " + ", ".join(f'"{name}"' for name in _TYPES),
                "check": _check_type,
                "words": _TYPES,
            },
        ),
    ]
    default: Annotated[
        Expression | None,
        Meta(description="What the column holds in a row that is new; without it NULL."),
    ] = None
    on_update: Annotated[
        Expression | None,
        Meta(
            description="What the column is set to each time that cdc writes the row again; "
            "without it the column keeps what it holds."
        ),
    ] = None

    def column(self, name: str) -> AddedColumn:
        """The same in the words of the mapping."""
        return AddedColumn(name, target_type(self.type).sql, self.default, self.on_update)
