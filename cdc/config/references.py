"""`[[foreign_keys]]`: what SQLite cannot say, since each of its keys stays within one file."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, field

from cdc.config.section import Section
from cdc.errors import ConfigError

_TABLE: Final = {"allowed": 'a source and a table of it, such as "fills.fills"'}
Orphans = Literal["refuse", "quarantine", "leave not valid"]
"""What the cutover does about rows that refer to none."""

ORPHANS: Final = get_args(Orphans)

_COLUMNS: Final = {"allowed": 'a list of columns such as "ticket_id"'}


class ForeignKeyConfig(Section, frozen=True, kw_only=True):
    """A foreign key between two tables, of different files as a rule; all names are SQLite's."""

    from_: Annotated[str, Meta(description="The table that refers.", extra=_TABLE)] = field(
        name="from"
    )
    columns: Annotated[
        tuple[str, ...], Meta(min_length=1, description="Its columns that refer.", extra=_COLUMNS)
    ]
    to: Annotated[str, Meta(description="The table that is referred to.", extra=_TABLE)]
    to_columns: Annotated[
        tuple[str, ...],
        Meta(description="Its columns that are referred to; without any its key.", extra=_COLUMNS),
    ] = ()
    on_delete: Annotated[
        Literal["no action", "restrict", "cascade", "set null"],
        Meta(
            description="What PostgreSQL does when a row that is referred to is deleted, from the "
            "cutover on: what cdc writes are the deletes of SQLite and no others.",
            extra={"choices": ("no action", "restrict", "cascade", "set null")},
        ),
    ] = "no action"
    orphans: Annotated[
        Orphans,
        Meta(
            description="What the cutover does about rows that refer to none: it is refused, they "
            "are set aside and given up, or the key stays NOT VALID, which PostgreSQL checks for "
            "what is written from then on.",
            extra={"choices": ORPHANS},
        ),
    ] = "refuse"

    def __post_init__(self) -> None:
        if self.to_columns and len(self.to_columns) != len(self.columns):
            raise ValueError("columns and to_columns must be equally many")


def table_of(name: str, sources: Sequence[str]) -> tuple[str, str]:
    """The source, one of these, and the table that `SOURCE.TABLE` names. Raises ConfigError.

    Both may have a dot in them: the longest name of a source counts.

    >>> table_of("a.b.c", ["a", "a.b"])
    ('a.b', 'c')
    """
    fitting = [source for source in sources if name.startswith(f"{source}.")]
    if not fitting:
        raise ConfigError(
            f'[[foreign_keys]]: "{name}" begins with no source and a dot.',
            hint=f"The sources are {', '.join(sources)}.",
        )
    source = max(fitting, key=len)
    return source, name.removeprefix(f"{source}.")
