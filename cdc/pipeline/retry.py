"""Trying quarantined rows again: by the daemon on request, or by a command that takes its place."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.errors import CdcError, SourceHeld
from cdc.logs import fields
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import open_session
from cdc.pipeline.stop import Stop
from cdc.postgres import quarantine, requests
from cdc.postgres.connection import Target
from cdc.postgres.requests import Request
from cdc.schema import Key
from cdc.sqlite import surroundings
from cdc.sqlite.connection import check_is_file
from cdc.sqlite.lock import SourceLock, holder

log = logging.getLogger(__name__)

RETRY: Final = "retry"
"""The kind of the request; its argument is the list of the entries' ids."""

LOOK_SECONDS: Final = 0.1
"""How often a command looks for the daemon's answer."""


def answer(target: Target, replication: Replication, request: Request) -> None:
    """Do what a request asks for, and say in it how many rows healed."""
    if request.kind != RETRY:
        with target.lease() as conn:
            requests.answer(conn, request, {"error": f"this cdc knows no {request.kind!r}"})
        return
    healed = _retry(target, replication, request.source, request.argument)
    with target.lease() as conn:
        requests.answer(conn, request, {"healed": healed})
    log.info(
        "Tried %d quarantined rows again, as asked: %d fit now.",
        len(request.argument),
        healed,
        extra=fields("quarantine_retried", source=request.source, healed=healed),
    )


def retry(
    config: Config,
    source: SourceConfig,
    target: Target,
    ids: Sequence[str],
    *,
    wait_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Have entries of one source tried again; how many of the rows fit now.

    A running daemon is asked for it; without one it is done here, under the source's lock. Raises
    CdcError where the daemon does not answer in time: then nothing will be done any more.
    """
    if holder(source.path) is None:
        try:
            return _retry_here(config, source, target, ids)
        except SourceHeld:
            pass  # a daemon has started meanwhile
    with target.lease() as conn:
        request_id = requests.ask(conn, source.name, RETRY, list(ids))
        end = time.monotonic() + wait_seconds
        while (answered := requests.take_answer(conn, request_id)) is None:
            if time.monotonic() > end and requests.withdraw(conn, request_id):
                raise CdcError(
                    f"{source.name}: the daemon did not answer within {wait_seconds:g} s.",
                    hint="See cdc status: it answers when its copies are complete and both"
                    " databases can be reached. The request is withdrawn.",
                )
            sleep(LOOK_SECONDS)
    if "error" in answered:
        raise CdcError(f"{source.name}: the daemon says that {answered['error']}.")
    return int(answered["healed"])


def _retry_here(config: Config, source: SourceConfig, target: Target, ids: Sequence[str]) -> int:
    check_is_file(source.path)
    surroundings.check_owner(source.path)
    lock = SourceLock.acquire(
        source.path, command="cdc quarantine retry", target=target.description
    )
    try:
        session = open_session(config, source, target, Stop())
        replication = Replication(
            source.name,
            session,
            target,
            config.replication,
            SourceProgress(source.name),
            synchronous_commit=config.postgres.synchronous_commit,
        )
        try:
            if not replication.copied:
                raise CdcError(
                    f"{source.name}: not all of its tables are copied yet.",
                    hint="Let cdc run complete the copy; it tries every row again.",
                )
            return _retry(target, replication, source.name, ids)
        finally:
            replication.close()
    finally:
        lock.release()


def _retry(target: Target, replication: Replication, source: str, ids: Sequence[str]) -> int:
    wanted = frozenset(ids)
    keys: dict[str, list[Key]] = {}
    with target.lease() as conn:
        for entry in quarantine.entries(conn, source):
            if entry.id in wanted:
                keys.setdefault(entry.name, []).append(entry.key)
    return replication.retry(keys)
