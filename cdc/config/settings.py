"""Every setting there is: its type, bounds, default and meaning; large sections stand beside this.

The bounds are checked by `decode`, the words below are what `render` writes as comments and what
`docs/configuration.md` repeats. The objects are frozen: a running daemon never sees them change.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, field

from cdc.config.archive import ArchiveConfig
from cdc.config.backup import BackupConfig
from cdc.config.columns import ColumnConfig
from cdc.config.cutover import CutoverConfig, HookConfig
from cdc.config.extras import AddedConfig, IndexConfig, Storage
from cdc.config.health import HealthConfig
from cdc.config.references import ForeignKeyConfig, Orphans
from cdc.config.section import Section
from cdc.config.verify import VerifyConfig
from cdc.constraints import folded
from cdc.errors import ConfigError
from cdc.mapping.extras import Extras, check_added, check_indexes, check_storage
from cdc.mapping.naming import Fold
from cdc.redact import redact

EMBEDDED: Final = "embedded"

DSN_PATTERN: Final = rf"^(?:{EMBEDDED}\Z|postgres(?:ql)?://|\s*[a-z_]+\s*=)"

SchemaName = Annotated[
    str,
    Meta(
        pattern=r"^(?!pg_|cdc\Z|information_schema\Z)[^\x00-\x1f\x7f]+\Z",
        extra={
            "allowed": "a name of 1 to 63 bytes, but not cdc, information_schema or pg_…",
            # PostgreSQL would cut a longer name without a word.
            "max_bytes": 63,
        },
    ),
]

TablePatterns = Annotated[
    tuple[Annotated[str, Meta(min_length=1)], ...],
    Meta(extra={"allowed": 'a list of patterns such as "trades" or "log_*"'}),
]


class PostgresConfig(Section, frozen=True, kw_only=True):
    """`[postgres]`: the target."""

    dsn: Annotated[
        str,
        Meta(
            pattern=DSN_PATTERN,
            description='Where PostgreSQL is: "embedded" for the server that comes with cdc, or a '
            "libpq URL or conninfo. The environment variable CDC_POSTGRES_DSN overrides it; better "
            "keep a password there, or in ~/.pgpass, than here.",
            extra={
                "allowed": f'"{EMBEDDED}", "postgresql://user@host/database", or "host=… dbname=…"',
                "secret": True,
            },
        ),
    ] = EMBEDDED
    schema: Annotated[
        SchemaName,
        Meta(description="The schema of the target tables, unless a source says otherwise."),
    ] = "public"
    fold: Annotated[
        Fold,
        Meta(
            description="What the names of target tables and columns become: as they are in SQLite "
            '("keep"), or with their ASCII letters in lower case ("lower"), so that SQL needs no '
            "quotes around them. A name that the configuration gives itself stays as it is there.",
            extra={"choices": ("keep", "lower")},
        ),
    ] = "keep"
    max_connections: Annotated[
        int,
        Meta(
            ge=4,
            le=1_000,
            description="Most connections to PostgreSQL at any one time: for any number of sources."
            " A proof takes three.",
        ),
    ] = 5
    synchronous_commit: Annotated[
        bool,
        Meta(
            description="Whether PostgreSQL flushes each batch to disk before it answers. Off is "
            "faster and loses nothing: after a crash of PostgreSQL, rows and position go back "
            "together and the events are applied again."
        ),
    ] = False

    @property
    def embedded(self) -> bool:
        return self.dsn == EMBEDDED

    def __repr__(self) -> str:
        # The generated one would show the password in every traceback and debug line.
        return (
            f"PostgresConfig(dsn={redact(self.dsn)!r}, schema={self.schema!r}, "
            f"fold={self.fold!r}, max_connections={self.max_connections}, "
            f"synchronous_commit={self.synchronous_commit})"
        )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return list((values | {"dsn": redact(self.dsn)}).items())


class TableConfig(Section, frozen=True, kw_only=True):
    """`[sources.tables.TABLE]`: what differs from the plan for one table."""

    name: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="What the table is called in PostgreSQL. A change renames it there.",
            extra={"allowed": "a name of 1 to 63 bytes", "max_bytes": 63},
        ),
    ] = None
    columns: Annotated[
        dict[str, ColumnConfig], Meta(description="Overrides by the column's name in SQLite.")
    ] = field(default_factory=dict)
    storage: Storage = field(default_factory=dict)
    indexes: Annotated[
        tuple[IndexConfig, ...],
        Meta(
            description="Indexes besides those that SQLite has.",
            extra={"allowed": "a list of tables"},
        ),
    ] = ()
    added: Annotated[
        dict[str, AddedConfig],
        Meta(description="Columns that SQLite does not have, by their names in PostgreSQL."),
    ] = field(default_factory=dict)
    existing: Annotated[
        bool, Meta(description="Whether the table is there already, made by hand.")
    ] = False
    orphans: Annotated[
        dict[str, Orphans],
        Meta(
            description="The same as orphans in [[foreign_keys]] for the foreign keys that SQLite "
            'has, by their columns; without a word "refuse".',
            extra={"allowed": 'a table such as { "customer_id" = "leave not valid" }'},
        ),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.existing and self.storage:
            raise ValueError("existing and storage do not go together")
        for name, value in self.storage.items():
            check_storage(name, value)
        check_indexes(self.extras.indexes)
        for name in self.added:
            check_added(name)

    @property
    def extras(self) -> Extras:
        """What SQLite does not have, in the words of the mapping."""
        indexes = tuple(index.asked for index in self.indexes)
        added = tuple(column.column(name) for name, column in self.added.items())
        return Extras(indexes, tuple(sorted(self.storage.items())), added)


class SourceConfig(Section, frozen=True, kw_only=True):
    """`[[sources]]`: one SQLite file. After `load`, `path` is absolute and free of symlinks."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,63}\Z",
            description="What the source is called in commands, logs and the target's state. "
            "Unique, and not to be changed later: the position is kept under it.",
            extra={"allowed": "1 to 63 of the characters A-Z a-z 0-9 _ . -"},
        ),
    ]
    path: Annotated[
        Path, Meta(description="The SQLite file, relative to the directory of this file.")
    ]
    schema: Annotated[
        SchemaName | None,
        Meta(description="The schema of this source's target tables; without it postgres.schema."),
    ] = None
    include: Annotated[
        TablePatterns,
        Meta(
            min_length=1,
            description="Patterns of the tables to capture (* any text, ? one character, [ab] one "
            "of these), compared without regard to case, as SQLite does.",
        ),
    ] = ("*",)
    exclude: Annotated[
        TablePatterns,
        Meta(
            description="Patterns of tables to leave out; they win over include. The default names "
            "the tables that Alembic builds for a moment where it makes a table anew."
        ),
    ] = ("_alembic_tmp_*",)
    tables: Annotated[
        dict[str, TableConfig], Meta(description="Overrides by the table's name in SQLite.")
    ] = field(default_factory=dict)

    def captures(self, table: str) -> bool:
        """Whether the patterns ask for this table.

        >>> orders = SourceConfig(name="o", path=Path("o.db"), include=("*",), exclude=("log_*",))
        >>> orders.captures("orders"), orders.captures("LOG_2025")
        (True, False)
        """
        return _matches(table, self.include) and not _matches(table, self.exclude)


class ReplicationConfig(Section, frozen=True, kw_only=True):
    """`[replication]`: how the daemon works."""

    lock_bound_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Longest time, in milliseconds, that one read holds SQLite's lock. Keep "
            "it well below the shortest busy timeout of the legacy system.",
        ),
    ] = 50
    poll_ms: Annotated[
        int,
        Meta(
            ge=10,
            le=60_000,
            description="How often, in milliseconds, a file is looked at even without a file "
            "event; some file systems and containers lose events, so it cannot be turned off.",
        ),
    ] = 1_000
    batch_events: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Most events in one target transaction; a longer backlog is split into "
            "several while catching up.",
        ),
    ] = 50_000
    on_error: Annotated[
        str,
        Meta(
            description='What to do with a row that its target table cannot hold: "halt" stops the '
            'source, "quarantine" sets the row aside whole, and goes on: see `cdc quarantine`.',
            extra={"choices": ("halt", "quarantine")},
        ),
    ] = "halt"
    max_quarantined: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Most rows of one source that are set aside; one more stops it. The daemon "
            "keeps their keys in memory.",
        ),
    ] = 100_000
    boundary_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3_650,
            description="How many days the committed boundaries are kept: the points in time that "
            "a replay can stop at.",
        ),
    ] = 8
    min_free_disk_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000_000,
            description="Free disk, in MB (10^6 bytes), next to each file below which the daemon "
            "refuses to start, and raises an alarm while it runs. 0 turns the check off.",
        ),
    ] = 500
    disk_alarm_hours: Annotated[
        float,
        Meta(
            ge=0,
            le=87_600,
            description="While PostgreSQL takes nothing, the daemon raises an alarm when the disk "
            "lasts for fewer hours than this at the rate at which the changelogs grow. 0 turns the "
            "alarm off.",
        ),
    ] = 24.0


class Document(Section, frozen=True, kw_only=True):
    """What one configuration file says."""

    postgres: PostgresConfig = PostgresConfig()
    sources: Annotated[
        tuple[SourceConfig, ...], Meta(min_length=1, extra={"allowed": "at least one [[sources]]"})
    ]
    foreign_keys: Annotated[
        tuple[ForeignKeyConfig, ...],
        Meta(description="Foreign keys between tables of different files."),
    ] = ()
    replication: ReplicationConfig = ReplicationConfig()
    archive: ArchiveConfig = ArchiveConfig()
    backup: BackupConfig = BackupConfig()
    verify: VerifyConfig = VerifyConfig()
    cutover: CutoverConfig = CutoverConfig()
    health: HealthConfig = HealthConfig()
    hooks: Annotated[
        tuple[HookConfig, ...], Meta(description="Commands that the cutover runs.")
    ] = ()


class Config(Document, frozen=True, kw_only=True):
    """A configuration that was checked as a whole; `path` is the file it came from, absolute."""

    path: Path

    def source(self, name: str) -> SourceConfig:
        """The source of that name. Raises ConfigError, naming those that there are."""
        for source in self.sources:
            if source.name == name:
                return source
        names = ", ".join(source.name for source in self.sources)
        raise ConfigError(f'{self.path}: there is no source "{name}". There are: {names}.')

    @property
    def archive_directory(self) -> Path:
        """Where the event store is, absolute."""
        return (self.path.parent / self.archive.directory).resolve()

    @property
    def backup_directory(self) -> Path:
        """Where the backups are, absolute."""
        return (self.path.parent / self.backup.directory).resolve()

    @property
    def env_file(self) -> Path | None:
        """The environment file of the services, absolute; None without one."""
        return self.path.parent / self.cutover.env_file if self.cutover.env_file else None

    def target_schema(self, source: SourceConfig) -> str:
        """The schema that this source's tables go to."""
        return source.schema or self.postgres.schema


def _matches(table: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(folded(table), folded(pattern)) for pattern in patterns)
