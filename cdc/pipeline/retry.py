"""Trying quarantined rows again."""

import logging
from collections.abc import Sequence
from typing import Final

from cdc.logs import fields
from cdc.pipeline.replicate import Replication
from cdc.postgres import quarantine
from cdc.postgres.connection import Target
from cdc.schema import Key

KIND: Final = "retry"

log = logging.getLogger(__name__)


def retry(target: Target, replication: Replication, source: str, ids: Sequence[str]) -> int:
    """Try the rows of these entries again; how many of them fit now. For an errand."""
    wanted = frozenset(ids)
    keys: dict[str, list[Key]] = {}
    with target.lease() as conn:
        for entry in quarantine.entries(conn, source):
            if entry.id in wanted:
                keys.setdefault(entry.name, []).append(entry.key)
    healed = replication.retry(keys)
    log.info(
        "Tried %d quarantined rows again, as asked: %d fit now.",
        len(ids),
        healed,
        extra=fields("quarantine_retried", source=source, healed=healed),
    )
    return healed
