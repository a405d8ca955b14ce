"""What the configuration says of one source, as the daemon keeps it for others to compare."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cdc.config import Config, SourceConfig
from cdc.config.references import table_of


def terms_of(config: Config, source: SourceConfig) -> dict[str, Any]:
    """All settings that bear on what becomes of a source's rows; by section, as JSON.

    How the daemon works, and what a cutover asks for, is not among them.
    """
    names = [each.name for each in config.sources]
    keys = [
        key
        for key in config.foreign_keys
        if source.name in {table_of(table, names)[0] for table in (key.from_, key.to)}
    ]
    text = msgspec.json.encode(
        {
            "sources": source,
            "foreign_keys": keys,
            "postgres": {"schema": config.target_schema(source), "fold": config.postgres.fold},
            "replication": {"on_error": config.replication.on_error},
        },
        enc_hook=str,  # of a path
    )
    terms: dict[str, Any] = msgspec.json.decode(text)
    return terms


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """The settings that are not the same in both, by the dotted names of their keys.

    >>> list(differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}))
    ['a.c', 'd']
    """
    for name in sorted({*one, *other}):
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            yield from (f"{name}.{below}" for below in differing(mine, theirs))
        elif mine != theirs:
            yield name
