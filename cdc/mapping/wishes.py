"""What the configuration asks for: of one column, and checked against a whole table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cdc.mapping.codec import PLAIN, Instead, OnMisfit, Options
from cdc.mapping.table import TargetColumn
from cdc.mapping.types import TargetType, target_type
from cdc.schema import Column, Table


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for one column. Without a `type` its values choose one."""

    type: str | None = None
    name: str | None = None
    skip: bool = False
    options: Options = PLAIN
    on_misfit: OnMisfit = "refuse"


NO_WISH: Final = Wish()

Wishes = Mapping[str, Wish]
"""By the column's name in SQLite."""


def instead_of(on_misfit: OnMisfit) -> Instead:
    """What is stored for a value that does not fit; "" where it is refused or its row set aside."""
    return "" if on_misfit == "refuse" or on_misfit == "quarantine" else on_misfit  # noqa: PLR1714  # so that mypy can tell


def wanted_type(wish: Wish, column: Column, *, in_key: bool) -> TargetType | None:
    """The type that is asked for. Raises ValueError where it is none for this column."""
    if wish.type is None:
        return None
    return target_type(wish.type, column.affinity, wish.options, in_key=in_key)


def target_names(table: Table, wishes: Wishes) -> dict[int, str]:
    """What each column is to be called, by its position; those left out are not there.

    They are names of SQLite where the configuration gives no other. Raises ValueError where a
    column of the key is left out, or a name is there twice.
    """
    names: dict[int, str] = {}
    for i, column in enumerate(table.columns):
        wish = wishes.get(column.name, NO_WISH)
        if not wish.skip:
            names[i] = wish.name or column.name
        elif i in table.key:
            raise ValueError(f"column {column.name} belongs to the key and can not be left out")
    for name in names.values():
        if list(names.values()).count(name) > 1:
            raise ValueError(f"two columns would be called {name}")
    return names


def chosen_names(wishes: Wishes) -> set[str]:
    """The names that the configuration gives itself."""
    return {wish.name for wish in wishes.values() if wish.name is not None}


def map_columns(
    table: Table, names: Mapping[int, str], fitting: Mapping[int, TargetType], wishes: Wishes
) -> tuple[TargetColumn, ...]:
    """The columns of the target: `names` by position, and the types that are `fitting` where the
    configuration asks for none.

    Raises ValueError, with a sentence that names the column.
    """
    return tuple(
        _map_column(table, position, name, fitting, wishes) for position, name in names.items()
    )


def _map_column(
    table: Table, position: int, name: str, fitting: Mapping[int, TargetType], wishes: Wishes
) -> TargetColumn:
    column = table.columns[position]
    wish = wishes.get(column.name, NO_WISH)
    in_key = position in table.key
    try:
        type_ = wanted_type(wish, column, in_key=in_key)
        if type_ is None:
            type_ = fitting[position]
            if wish.options != PLAIN:
                type_ = target_type(type_.name, column.affinity, wish.options, in_key=in_key)
    except ValueError as exc:
        raise ValueError(f"column {column.name}: {exc}") from None
    return TargetColumn(name, type_, position, wish.on_misfit)


def agree(
    table: Table, columns: Sequence[TargetColumn], names: Mapping[int, str], wishes: Wishes
) -> bool:
    """Whether columns that were mapped before are what is asked for now.

    A column without a wish for its type keeps the one that was chosen for it. Raises ValueError.
    """
    if {column.source: column.name for column in columns} != dict(names):
        return False
    for column in columns:
        source = table.columns[column.source]
        wish = wishes.get(source.name, NO_WISH)
        wanted = wanted_type(wish, source, in_key=column.source in table.key)
        kept = column.type.options
        if wish == NO_WISH:  # the separator was chosen together with the type
            kept = replace(kept, separator=PLAIN.separator)
        if wish.options != kept or wanted not in {None, column.type}:
            return False
    return True
