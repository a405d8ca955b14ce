"""Foreign keys that had to wait for the switch, made while others write.

As long as a role that may not set session_replication_role writes what comes from SQLite, a key
would refuse it each child that comes before its parent.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from cdc.config import Config
from cdc.cutover.relations import Relation, relations_of, waits
from cdc.errors import TargetUnavailable
from cdc.postgres import constraints, orphans
from cdc.postgres.connection import Connection, Target, hurried

LOCK_MS: Final = 100
"""For the lock that keeps writers out while a key is made: whoever comes later waits behind us."""

ATTEMPTS: Final = 50
PAUSE_SECONDS: Final = 0.2


def waiting(config: Config, target: Target) -> list[Relation]:
    """The keys that PostgreSQL is still to get. Raises TargetError, SourceError."""
    with target.lease() as conn:
        if not waits(target):
            return []
        return [
            relation
            for relation in relations_of(conn, config)
            if orphans.is_valid(conn, relation.design) is not True
        ]


def make(target: Target, relation: Relation, wait: Callable[[float], object] = time.sleep) -> str:
    """Make a key, and validate it where it has no orphans; "", or what is to be seen to."""
    for attempt in range(1, ATTEMPTS + 1):
        with target.lease() as conn:
            try:
                with hurried(conn, LOCK_MS):
                    return _made(conn, relation)
            except TargetUnavailable as error:
                if attempt == ATTEMPTS:
                    return f"{relation}: {error}; by hand: {relation.design.create}"
        wait(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  (no secret)
    return ""


def _made(conn: Connection, relation: Relation) -> str:
    refused = constraints.make_foreign_key(conn, relation.design)
    there = orphans.is_valid(conn, relation.design) is not None
    if refused is None or (there and relation.policy == "leave not valid"):
        return ""
    return f"{relation}: {refused.reason}"
