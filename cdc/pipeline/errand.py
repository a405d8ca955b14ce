"""What a command has the holder of a source do: the running daemon, or the command in its place.

Only who holds the source's lock may write its target tables. Each kind of errand is a function; a
request in the target carries its argument to the daemon, and the answer back.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cdc.config import Config, SourceConfig
from cdc.errors import CdcError, SourceHeld
from cdc.logs import fields
from cdc.pipeline import canary, repair, retry, setting_aside
from cdc.pipeline.progress import SourceProgress
from cdc.pipeline.replicate import Replication
from cdc.pipeline.session import SessionEnded, open_session
from cdc.pipeline.worker import PASSING
from cdc.postgres import requests
from cdc.postgres.connection import Target
from cdc.postgres.requests import Request
from cdc.sqlite import surroundings
from cdc.sqlite.lock import SourceLock, holder
from cdc.stop import Stop

Errand = Callable[[Target, Replication, str, Any], Any]
"""Does what the argument says (JSON) for one source whose tables are all copied."""

KINDS: Final[Mapping[str, Errand]] = {
    canary.KIND: canary.fly,
    retry.KIND: retry.retry,
    repair.KIND: repair.rewrite,
    setting_aside.KIND: setting_aside.set_aside,
}

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.1
"""How often a command looks for the daemon's answer."""


def answer(target: Target, replication: Replication, request: Request) -> None:
    """Do what a request asks for, and answer it with what came of it.

    One that was done while the next look at the inbox found it again is not done twice.
    """
    with target.lease() as conn:
        if not requests.is_waiting(conn, request):
            return
    errand = KINDS.get(request.kind)
    if errand is None:
        words: dict[str, Any] = {"error": f"this cdc knows no {request.kind!r}"}
    else:
        try:
            words = {"done": errand(target, replication, request.source, request.argument)}
        except PASSING:
            raise  # it is done later
        except Exception as error:
            _refuse(target, request, error)
            raise SessionEnded(f"A request of {request.source} could not be done.") from error
    with target.lease() as conn:
        requests.answer(conn, request, words)


def _refuse(target: Target, request: Request, error: Exception) -> None:
    """Answer a request that cannot be done: it must not come again and again."""
    if isinstance(error, CdcError):
        words = error.line
    else:
        words = f"it met an error that nobody has foreseen ({error!r})"
        log.error(
            "The request %r of %s failed.",
            request.kind,
            request.source,
            exc_info=error,
            extra=fields("request_failed", source=request.source, kind=request.kind),
        )
    with target.lease() as conn:
        requests.answer(conn, request, {"error": words})


def run(
    config: Config,
    source: SourceConfig,
    target: Target,
    kind: str,
    argument: object,
    *,
    command: str,
    wait_seconds: float,
    sleep: Callable[[float], object] = time.sleep,
) -> Any:
    """Have an errand done for one source; returns what came of it.

    A running daemon is asked for it; without one it is done here, under the source's lock, in the
    name of `command`. Raises CdcError where the daemon does not answer in time: then nothing will
    be done any more.
    """
    if holder(source.path) is None:
        try:
            return _run_here(config, source, target, kind, argument, command)
        except SourceHeld:
            pass  # a daemon has started meanwhile
    with target.lease() as conn:
        request_id = requests.ask(conn, source.name, kind, argument)
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
    return answered["done"]


def _run_here(  # noqa: PLR0917  (as of `run`)
    config: Config,
    source: SourceConfig,
    target: Target,
    kind: str,
    argument: object,
    command: str,
) -> Any:
    surroundings.check_owner(source.path)
    lock = SourceLock.acquire(source.path, command=command, target=target.description)
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
                    hint="Let cdc run complete the copy; it writes every row again.",
                )
            return KINDS[kind](target, replication, source.name, argument)
        finally:
            replication.close()
    finally:
        lock.release()
