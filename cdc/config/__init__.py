"""The configuration: `load(locate(option))` gives a `Config`, frozen and checked."""

from cdc.config.archive import ArchiveConfig
from cdc.config.backup import BackupConfig
from cdc.config.columns import ColumnConfig
from cdc.config.cutover import CutoverConfig, HookConfig
from cdc.config.health import HealthConfig
from cdc.config.load import load, locate
from cdc.config.references import ForeignKeyConfig
from cdc.config.settings import (
    EMBEDDED,
    Config,
    PostgresConfig,
    ReplicationConfig,
    SourceConfig,
    TableConfig,
)
from cdc.config.verify import VerifyConfig

__all__ = [
    "EMBEDDED",
    "ArchiveConfig",
    "BackupConfig",
    "ColumnConfig",
    "Config",
    "CutoverConfig",
    "ForeignKeyConfig",
    "HealthConfig",
    "HookConfig",
    "PostgresConfig",
    "ReplicationConfig",
    "SourceConfig",
    "TableConfig",
    "VerifyConfig",
    "load",
    "locate",
]
