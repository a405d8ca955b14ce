"""The configuration: `load(locate(option))` gives a `Config`, frozen and checked."""

from cdc.config.archive import ArchiveConfig
from cdc.config.load import load, locate
from cdc.config.references import ForeignKeyConfig
from cdc.config.settings import (
    EMBEDDED,
    ColumnConfig,
    Config,
    CutoverConfig,
    PostgresConfig,
    ReplicationConfig,
    SourceConfig,
    TableConfig,
)

__all__ = [
    "EMBEDDED",
    "ArchiveConfig",
    "ColumnConfig",
    "Config",
    "CutoverConfig",
    "ForeignKeyConfig",
    "PostgresConfig",
    "ReplicationConfig",
    "SourceConfig",
    "TableConfig",
    "load",
    "locate",
]
