"""What a target table has besides the columns of its source: asked for, and unknown to SQLite."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from cdc.constraints import folded

StorageValue = bool | int | float

MAX_BYTES: Final = 63

_MOST: Final = 2**31 - 1
_AGE: Final = 2_000_000_000

_STORAGE: Final[dict[str, tuple[float, float] | None]] = {
    "fillfactor": (10, 100),
    "toast_tuple_target": (128, 8160),
    "parallel_workers": (0, 1024),
    "vacuum_truncate": None,
    "user_catalog_table": None,
    "log_autovacuum_min_duration": (-1, _MOST),
    "autovacuum_enabled": None,
    "autovacuum_vacuum_threshold": (0, _MOST),
    "autovacuum_vacuum_scale_factor": (0, 100),
    "autovacuum_vacuum_insert_threshold": (-1, _MOST),
    "autovacuum_vacuum_insert_scale_factor": (0, 100),
    "autovacuum_vacuum_cost_delay": (0, 100),
    "autovacuum_vacuum_cost_limit": (1, 10_000),
    "autovacuum_analyze_threshold": (0, _MOST),
    "autovacuum_analyze_scale_factor": (0, 100),
    "autovacuum_freeze_min_age": (0, 1_000_000_000),
    "autovacuum_freeze_max_age": (100_000, _AGE),
    "autovacuum_freeze_table_age": (0, _AGE),
    "autovacuum_multixact_freeze_min_age": (0, 1_000_000_000),
    "autovacuum_multixact_freeze_max_age": (10_000, _AGE),
    "autovacuum_multixact_freeze_table_age": (0, _AGE),
}
_OF_TOAST: Final = ("vacuum_truncate", "log_autovacuum", "autovacuum_")

STORAGE: Final = _STORAGE | {
    f"toast.{name}": bounds
    for name, bounds in _STORAGE.items()
    if name.startswith(_OF_TOAST) and "analyze" not in name
}
"""The storage parameters of a table that every supported version of PostgreSQL knows, each with its
least and greatest value; None for true or false. What is there under `toast.` is about the table
beside it that holds its long values.
"""

_FRACTIONS: Final = ("_scale_factor", "_cost_delay")


@dataclass(frozen=True, slots=True)
class AskedIndex:
    """An index that SQLite does not have, on `columns` of SQLite or added ones. Without a `name` it
    gets one.
    """

    columns: tuple[str, ...]
    unique: bool = False
    name: str | None = None

    def __str__(self) -> str:
        return f"index {self.name or ''}({', '.join(self.columns)})"


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """A column of PostgreSQL alone, of a type of SQL.

    `default` and `on_update` are expressions of the operator's, in SQL: what the column holds in a
    new row, and what it is set to each time that the row is written again.
    """

    name: str
    type: str
    default: str | None = None
    on_update: str | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """All of one table. `storage` is by the parameter's name, and sorted by it."""

    indexes: tuple[AskedIndex, ...] = ()
    storage: tuple[tuple[str, StorageValue], ...] = ()
    added: tuple[AddedColumn, ...] = ()


NO_EXTRAS: Final = Extras()


def check_storage(name: str, value: StorageValue) -> None:
    """Raise ValueError where PostgreSQL knows no such storage parameter, or not this value."""
    if name not in STORAGE:
        near = get_close_matches(name.lower(), STORAGE, n=1)
        guess = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f"storage knows no parameter {name!r}{guess}")
    bounds = STORAGE[name]
    if bounds is None:
        if not isinstance(value, bool):
            raise ValueError(f"storage: {name} must be true or false")
        return
    whole = not name.endswith(_FRACTIONS)
    fits = (
        not isinstance(value, bool)
        and bounds[0] <= value <= bounds[1]
        and not (whole and isinstance(value, float))
    )
    if not fits:
        kind = "whole number" if whole else "number"
        raise ValueError(f"storage: {name} must be a {kind} from {bounds[0]} to {bounds[1]}")


def check_indexes(indexes: tuple[AskedIndex, ...]) -> None:
    """Raise ValueError where two indexes are the same, or have one name."""
    for at, index in enumerate(indexes):
        if len(set(index.columns)) < len(index.columns):
            raise ValueError(f"{index} names a column twice")
        for other in indexes[:at]:
            if index.name is not None and index.name == other.name:
                raise ValueError(f"two indexes are called {index.name}")
            if (index.columns, index.unique) == (other.columns, other.unique):
                raise ValueError(f"{index} is there twice")


def check_added(name: str) -> None:
    """Raise ValueError where PostgreSQL takes no column of that name as it stands."""
    if not 0 < len(name.encode()) <= MAX_BYTES:
        raise ValueError(f"added: the name {name!r} must have 1 to {MAX_BYTES} bytes")


def check_expression(text: str) -> None:
    """Raise ValueError for what could end the statement that it becomes a part of."""
    if not text.strip() or any(mark in text for mark in (";", "--", "/*", "\0")):
        raise ValueError("not a single expression")


def check_extras(extras: Extras, names: Mapping[str, str]) -> None:
    """Raise ValueError where an index is on a column that the target does not have, or a column is
    there already.

    `names` are those in SQLite of the columns that the target takes, with those that they get.
    """
    for column in extras.added:
        if column.name in names.values():
            raise ValueError(f"added column {column.name}: SQLite's column is called so, too")
    there = {folded(name): name for name in names}
    added = {column.name for column in extras.added}
    for index in extras.indexes:
        for name in index.columns:
            if name not in added and folded(name) not in there:
                known = ", ".join(there.values())
                raise ValueError(f"{index}: no column {name!r} there; there are {known}")
