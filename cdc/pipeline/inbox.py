"""Requests that commands have left in the target, handed to the threads that can answer them."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from cdc.errors import TargetError
from cdc.logs import fields
from cdc.postgres import requests
from cdc.postgres.connection import Target
from cdc.postgres.requests import Request

PAUSE_SECONDS: Final = 5.0
"""After PostgreSQL did not answer."""

log = logging.getLogger(__name__)


class Inbox:
    """Looks for requests; call `look` about twice a second. `deliver` is given by source."""

    def __init__(
        self, target: Target, deliver: Mapping[str, Callable[[list[Request]], None]]
    ) -> None:
        self._target = target
        self._next_look = 0.0
        self._deliver = deliver

    def look(self) -> None:
        """Hand every request without an answer to its source."""
        if time.monotonic() < self._next_look:
            return
        try:
            with self._target.lease() as conn:
                waiting = requests.waiting(conn)
        except TargetError as error:
            # The threads meet the same trouble and report it; the requests wait.
            self._next_look = time.monotonic() + PAUSE_SECONDS
            log.debug("%s", error, extra=fields("requests_not_read"))
            return
        for source in {request.source for request in waiting} & self._deliver.keys():
            self._deliver[source]([each for each in waiting if each.source == source])
