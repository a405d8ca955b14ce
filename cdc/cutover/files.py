"""The SQLite files as a run leaves them: given back to the legacy system."""

from collections.abc import Mapping
from datetime import datetime

from cdc.config import Config, SourceConfig
from cdc.sqlite import direction, freeze, numbers
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.direction import Direction


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


def last_batch(stands: Mapping[str, Direction]) -> datetime | None:
    """When rows came from PostgreSQL last, to any of them."""
    return max((stand.at for stand in stands.values() if stand.at is not None), default=None)


def _give_back(source: SourceConfig, epoch: int | None, used: Mapping[str, int]) -> bool:
    # Opened for writing, so that SQLite first undoes what a kill in the middle of a seal has left.
    with SourceFile(source.path, durable=True) as file:
        with file.reading():
            stand = direction.read(file)
        if stand is None or epoch not in (None, stand.epoch):
            return False

        def work() -> None:
            direction.disarm(file)
            freeze.lift(file)
            numbers.remember(file, used)

        file.write(work)
    return True
