"""The sections about what a target table has that SQLite does not."""

from typing import Annotated

from msgspec import Meta

from cdc.config.section import Section
from cdc.mapping.extras import AskedIndex, StorageValue

Storage = Annotated[
    dict[str, StorageValue],
    Meta(
        description="Storage parameters of the table: PostgreSQL's names for a table's, with "
        "numbers, true or false. A change is carried out at the next start.",
        extra={"allowed": "a table such as { fillfactor = 90 }"},
    ),
]


class IndexConfig(Section, frozen=True, kw_only=True):
    """`[[sources.tables.TABLE.indexes]]`: an index that SQLite does not have."""

    columns: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            min_length=1,
            description="The columns, by their names in SQLite, in the order of the index.",
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
