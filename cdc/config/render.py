"""The configuration that `cdc init` writes: every setting, explained, with its default."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Final

import msgspec

from cdc.config.archive import ArchiveConfig
from cdc.config.backup import BackupConfig
from cdc.config.columns import ColumnConfig
from cdc.config.cutover import CutoverConfig
from cdc.config.health import HealthConfig
from cdc.config.keys import Key, keys_of
from cdc.config.settings import (
    Document,
    PostgresConfig,
    ReplicationConfig,
    SourceConfig,
    TableConfig,
)
from cdc.config.toml import toml_value
from cdc.config.verify import VerifyConfig
from cdc.errors import ConfigError

WIDTH: Final = 100

_OPENING = """\
# What cdc replicates, from where to where. Every setting is here with its default; one that stands
# behind a # may be left so. An unknown or misspelt key is an error, never ignored.
"""

_SOURCES = "# One [[sources]] for each SQLite file. The first one shows what each may have."


_BESIDES: Final = (
    ("indexes", "[[sources.tables.TABLE.indexes]]", {"columns": ["COLUMN"], "unique": False}),
    (
        "added",
        "[sources.tables.TABLE.added.updated_at]",
        {"type": "timestamptz", "default": "now()", "on_update": "now()"},
    ),
)
"""What a table can have besides, with an example of each."""


def render(sources: Sequence[tuple[str, Path | str]], dsn: str) -> str:
    """The text of a configuration with these sources, each a valid name and a path as it is to
    stand in the file, and this DSN. Raises ConfigError for a path that TOML cannot hold.

    >>> text = render([("trades", "rec_io/trades.db")], "embedded")
    >>> print(*(line for line in text.splitlines() if line.startswith("[")))
    [postgres] [[sources]] [replication] [archive] [backup] [verify] [cutover] [health]
    """
    parts = [_OPENING, _section("[postgres]", PostgresConfig, dsn=dsn), _SOURCES]
    parts += [_source(*source, explained=i == 0) for i, source in enumerate(sources)]
    parts += [
        *(_foreign_keys(name) for name, _ in sources[:1]),
        _section("[replication]", ReplicationConfig),
        _section("[archive]", ArchiveConfig),
        _section("[backup]", BackupConfig),
        _section("[verify]", VerifyConfig),
        _section("[cutover]", CutoverConfig),
        _section("[health]", HealthConfig),
    ]
    return "\n".join(parts)


def name_sources(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """Each path with a valid and unique source name made from the file's.

    >>> [name for name, _ in name_sources([Path("a/my log.db"), Path("b/my log.db"), Path("é")])]
    ['my_log', 'my_log-2', 'source']
    """
    named: dict[str, Path] = {}
    for path in paths:
        # A suffix such as "-17" still fits within the 63 characters that a name may have.
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem).strip("_")[:50] or "source"
        numbered = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(named) + 2))
        named[next(name for name in numbered if name not in named)] = path
    return list(named.items())


def _section(header: str, section: type[msgspec.Struct], **given: object) -> str:
    settings = (
        [*_comment(key), f"{key.name} = {toml_value(given.get(key.name, key.default))}", ""]
        for key in keys_of(section)
    )
    return "\n".join([header, *chain.from_iterable(settings)])


def _source(name: str, path: Path | str, *, explained: bool) -> str:
    given = {"name": name, "path": _writable(str(path))}
    lines = _explained_source(given) if explained else _settings(given)
    return "\n".join(["[[sources]]", *lines, ""])


def _settings(given: Mapping[str, str]) -> list[str]:
    return [f"{name} = {toml_value(value)}" for name, value in given.items()]


def _explained_source(given: Mapping[str, str]) -> Iterator[str]:
    for key in keys_of(SourceConfig):
        if key.name in given:
            yield from [*_comment(key), *_settings({key.name: given[key.name]}), ""]
        elif key.shape == "value":
            yield from [*_comment(key), f"# {key.name} = {toml_value(_example(key))}", ""]
    yield from _overrides()


def _overrides() -> Iterator[str]:
    kind = next(key for key in keys_of(ColumnConfig) if key.name == "type")
    yield from _comment(kind)
    yield "# These lines belong to the [[sources]] that they follow."
    yield from _commented(
        "[sources.tables.TABLE.columns.COLUMN]", {kind.name: kind.words[-1], "on_misfit": "refuse"}
    )
    for name in ("name", "storage"):
        yield "#"
        yield from _comment(next(key for key in keys_of(TableConfig) if key.name == name))
    storage = {"autovacuum_vacuum_scale_factor": 0.02}
    yield from _commented("[sources.tables.TABLE]", {"name": "TABLE", "storage": storage})
    for name, header, values in _BESIDES:
        yield "#"
        yield from _comment(next(key for key in keys_of(TableConfig) if key.name == name))
        yield from _commented(header, values)


def _foreign_keys(source: str) -> str:
    """The section about keys between files; every line of it is a comment."""
    (key,) = (key for key in keys_of(Document) if key.name == "foreign_keys")
    values = {"from": f"{source}.TABLE", "columns": ["COLUMN"], "to": f"{source}.PARENT"}
    return "\n".join([*_comment(key), *_commented("[[foreign_keys]]", values), ""])


def _commented(header: str, values: Mapping[str, object]) -> Iterator[str]:
    yield f"# {header}"
    for name, value in values.items():
        yield f"# {name} = {toml_value(value)}"


def _example(key: Key) -> object:
    """The default, or for the schema, which has none of its own, the one that it falls back to."""
    return PostgresConfig().schema if key.default is None else key.default


def _comment(key: Key) -> list[str]:
    sentences = [key.description]
    if key.section is None:  # what a section may hold the example behind it shows
        sentences.append(f"Allowed: {key.allowed}.")
    return [
        line
        for each in sentences
        for line in wrap(each, WIDTH, initial_indent="# ", subsequent_indent="# ")
    ]


def _writable(path: str) -> str:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"The path {path!r} is not UTF-8, and TOML cannot hold it.",
            hint="Name a symbolic link to the file instead.",
        ) from None
    return path
