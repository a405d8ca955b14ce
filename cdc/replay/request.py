"""What a replay is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from cdc.replay.goal import Until


@dataclass(frozen=True, slots=True)
class IntoTarget:
    """The target itself."""


@dataclass(frozen=True, slots=True)
class IntoSchema:
    """A schema of the target's database, named for this."""

    schema: str


@dataclass(frozen=True, slots=True)
class IntoDatabase:
    """Another database, with the schemas that the configuration names."""

    dsn: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IntoFile:
    """A SQLite file that is not there yet."""

    path: Path


Into = IntoTarget | IntoSchema | IntoDatabase | IntoFile


@dataclass(frozen=True, slots=True)
class Request:
    """Until when, into what, and which tables (none: all). `dry_run` only counts."""

    until: Until
    into: Into
    tables: tuple[str, ...] = ()
    dry_run: bool = False
