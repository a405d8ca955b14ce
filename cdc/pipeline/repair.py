"""Writing rows again that a proof has found to differ."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.logs import fields
from cdc.pipeline.replicate import Replication
from cdc.postgres import archived
from cdc.postgres.connection import Target
from cdc.postgres.keys import load_key

KIND: Final = "repair"

log = logging.getLogger(__name__)


def rewrite(
    target: Target, replication: Replication, source: str, keys: Mapping[str, Sequence[str]]
) -> int:
    """Make the target's rows of these keys (in the form of `dump_key`, by table) those of SQLite;
    how many keys. For an errand.

    Where a change has passed the capture unseen, the event store lacks it as well: so the tables
    get new baselines.
    """
    with target.lease() as conn:
        archived.want_baselines(conn, source, keys)
    replication.rewrite({name: list(map(load_key, some)) for name, some in keys.items()})
    count = sum(map(len, keys.values()))
    log.warning(
        "Wrote %d rows again that differed, as asked: %s.",
        count,
        ", ".join(f"{len(some)} of {name}" for name, some in keys.items()),
        extra=fields("repaired", source=source, rows=count),
    )
    return count
