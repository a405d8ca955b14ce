"""Rows that refer to none for good, told from those whose parent is only on its way.

Each file has a thread of its own in the daemon. So in PostgreSQL a child may be there before its
parent for a moment, which is no orphan.
"""

import time
from typing import Final

from cdc.config import Config
from cdc.cutover.relations import Relation
from cdc.postgres import orphans, state
from cdc.postgres.connection import Target
from cdc.schema import Key
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile

APPLIED_SECONDS: Final = 10.0
"""For the daemon to apply what the files hold at the first look."""

POLL_SECONDS: Final = 0.05


def lasting_orphans(
    config: Config, target: Target, relation: Relation
) -> list[tuple[Key, tuple[str, ...]]]:
    """The keys in SQLite of the rows that refer to none, each with what it refers to, as text.

    Where there are any, once more when all is applied that the files held by then: those that are
    found both times.
    """
    first = _look(target, relation)
    if not first:
        return []
    _wait_until_applied(config, target)
    again = {key for key, _ in _look(target, relation)}
    return [(key, values) for key, values in first if key in again]


def _look(target: Target, relation: Relation) -> list[tuple[Key, tuple[str, ...]]]:
    with target.lease() as conn:
        if not orphans.count(conn, relation.design):
            return []
        return list(orphans.keys(conn, relation.child, relation.design))


def _wait_until_applied(config: Config, target: Target) -> None:
    """Wait for what the files hold now; in vain where no daemon applies it, which is seen to
    elsewhere.
    """
    ends = {}
    for source in config.sources:
        with SourceFile(source.path) as file, file.reading():
            ends[source.name] = Changelog(file).newest()
    deadline = time.monotonic() + APPLIED_SECONDS
    while time.monotonic() < deadline:
        with target.lease() as conn:
            applied = {source.name: source.applied_seq for source in state.sources(conn)}
        if all(applied.get(name, -1) >= end for name, end in ends.items()):
            return
        time.sleep(POLL_SECONDS)
