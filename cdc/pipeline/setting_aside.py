"""Setting rows aside that are to have no place in PostgreSQL, and giving them up."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from cdc.logs import fields
from cdc.pipeline.replicate import Replication
from cdc.postgres import quarantine
from cdc.postgres.connection import Target
from cdc.postgres.keys import load_key

KIND: Final = "set aside"

log = logging.getLogger(__name__)


def set_aside(
    target: Target, replication: Replication, source: str, asked: Mapping[str, Any]
) -> int:
    """Move the rows of these `keys` (in the form of `dump_key`) of one `table` into the quarantine,
    as given up by the configuration, with a `reason` and the `position` of the value at fault; how
    many there were. For an errand.
    """
    name = asked["table"]
    keys = list(map(load_key, asked["keys"]))
    count = replication.set_aside(name, keys, asked["position"], asked["reason"])
    with target.lease() as conn:
        quarantine.drop(conn, [quarantine.entry_id(source, name, key) for key in keys])
    log.warning(
        "Set aside %d rows of table %s, as the configuration asks: %s.",
        count,
        name,
        asked["reason"],
        extra=fields("set_aside", source=source, table=name, rows=count),
    )
    return count
