"""What the configuration says of tables, found for those that there are."""

from collections.abc import Iterable, Sequence

from cdc.config import SourceConfig, TableConfig
from cdc.errors import ConfigError
from cdc.mapping.wishes import Wish
from cdc.sqlite.introspect import SourceTable


def wishes_of(config: SourceConfig, source: SourceTable) -> dict[str, Wish]:
    """What is asked for the columns of a table. Raises ConfigError for one that is not there."""
    names = {c.name.lower(): c.name for c in source.table.columns}
    wanted = table_config(config, source)
    if wanted is None:
        return {}
    for column in wanted.columns:
        if column.lower() not in names:
            raise ConfigError(
                f"Source {config.name}: table {source.name} has no column {column!r}.",
                hint=f"Its columns are {', '.join(names.values())}.",
            )
    return {names[column.lower()]: c.wish for column, c in wanted.columns.items()}


def table_config(config: SourceConfig, source: SourceTable) -> TableConfig | None:
    """What the configuration says of a table, in whichever case its name is written."""
    return next(
        (t for name, t in config.tables.items() if name.lower() == source.name.lower()), None
    )


def check_overrides(config: SourceConfig, captured: Iterable[str]) -> None:
    """Raise ConfigError where the configuration is about a table that is not captured."""
    names = {name.lower() for name in captured}
    for table in config.tables:
        if table.lower() not in names:
            raise ConfigError(
                f"Source {config.name}: {config.path} has no captured table {table!r}.",
                hint=f"Its captured tables are {', '.join(sorted(names)) or 'none'}.",
            )


def check_selection(config: SourceConfig, names: Sequence[str]) -> None:
    """Raise ConfigError where the patterns choose none of the tables that the file has: nothing
    would be replicated, and each answer be yes.
    """
    if names and not any(map(config.captures, names)):
        raise ConfigError(
            f"Source {config.name}: include and exclude leave none of the tables of {config.path}.",
            hint=f"Its tables are {', '.join(sorted(names))}; or take the source out.",
        )
