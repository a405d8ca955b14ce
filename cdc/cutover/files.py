"""The SQLite files as a run leaves them: given back to the legacy system."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from cdc.config import Config, SourceConfig
from cdc.errors import CdcError
from cdc.sqlite import direction, freeze, numbers
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.direction import Direction

REASON: Final = "moved to PostgreSQL by cdc cutover"
"""What a service is told that still writes to SQLite."""


def give_back(
    config: Config, epoch: int | None, used: Mapping[str, Mapping[str, int]] | None = None
) -> list[str]:
    """Let the legacy system write to every file that a run has sealed; the names of those.

    `epoch` is the one that the run has armed them with, None for any. `used` are, by source and
    table, the numbers that were given to rows meanwhile. Each file in one transaction of its own;
    may be repeated. Raises SourceError; files before that one are open then.
    """
    return [
        source.name
        for source in config.sources
        if _give_back(source, epoch, (used or {}).get(source.name, {}))
    ]


def armed(config: Config) -> dict[str, Direction]:
    """The files that take rows from PostgreSQL, by source."""
    found = {}
    for source in config.sources:
        with SourceFile(source.path) as file, file.reading():
            stand = direction.read(file)
        if stand is not None:
            found[source.name] = stand
    return found


def finish(config: Config) -> Iterator[tuple[str, CdcError | None]]:
    """Have every file take no rows any more, from anybody; each source with what kept it from that.

    Tables that have come to take writes again since the seal are frozen with the others. May be
    repeated.
    """
    for source in config.sources:
        try:
            _finish(source)
        except CdcError as error:
            yield source.name, error
        else:
            yield source.name, None


def last_batch(stands: Mapping[str, Direction]) -> datetime | None:
    """When rows came from PostgreSQL last, to any of them."""
    return max((stand.at for stand in stands.values() if stand.at is not None), default=None)


def _give_back(source: SourceConfig, epoch: int | None, used: Mapping[str, int]) -> bool:
    # Opened for writing, so that SQLite first undoes what a kill in the middle of a seal has left.
    with SourceFile(source.path, durable=True) as file:
        with file.reading():
            stand = direction.read(file)
        if stand is None or stand.finished_at or epoch not in (None, stand.epoch):
            return False

        def work() -> None:
            direction.disarm(file)
            freeze.lift(file)
            numbers.remember(file, used)

        file.write(work)
    return True


def _finish(source: SourceConfig) -> None:
    with SourceFile(source.path, durable=True) as file:

        def work() -> None:
            freeze.put(file, REASON, datetime.now(UTC))
            direction.finish(file)

        file.write(work)
