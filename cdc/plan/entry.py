"""The entry of a column in the configuration, written out whole, to be pasted as it stands."""

import re
from dataclasses import fields, replace
from typing import Final

from cdc.config.columns import ColumnConfig
from cdc.config.toml import toml_value
from cdc.mapping.codec import PLAIN, OnMisfit, Options
from cdc.mapping.types import TargetType, target_type
from cdc.mapping.wishes import instead_of

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def entry_lines(
    table: str, column: str, type_: TargetType, given: ColumnConfig | None
) -> tuple[str, ...]:
    """The lines that give a column this type with its options.

    What else the configuration says of the column, `given`, is kept where it goes with the type.
    """
    settings: dict[str, object] = {"type": type_.name}
    if given is not None and given.name is not None:
        settings["name"] = given.name
    for option in fields(Options):
        value = getattr(type_.options, option.name)
        if option.name != "instead" and value != getattr(PLAIN, option.name):
            settings[option.name] = value
    if (on_misfit := _on_misfit(type_, given)) != "refuse":
        settings["on_misfit"] = on_misfit
    header = f"[sources.tables.{toml_key(table)}.columns.{toml_key(column)}]"
    return (header, *(f"{name} = {toml_value(value)}" for name, value in settings.items()))


def _on_misfit(type_: TargetType, given: ColumnConfig | None) -> OnMisfit:
    if type_.options.instead:
        return type_.options.instead
    if given is None or given.on_misfit == "refuse":
        return "refuse"
    options = replace(type_.options, instead=instead_of(given.on_misfit))
    try:
        target_type(type_.name, type_.affinity, options)
    except ValueError:  # it makes no sense for this type
        return "refuse"
    return given.on_misfit


def toml_key(name: str) -> str:
    """A name as a key of TOML.

    >>> toml_key("trades"), toml_key("our trades")
    ('trades', '"our trades"')
    """
    return name if _BARE_KEY.fullmatch(name) else toml_value(name)
