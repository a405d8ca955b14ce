"""A process that brings rows back until it is killed, by itself or by somebody else.

`python applier.py CONFIG EPOCH SEED`: at random it ends, as by kill -9, before SQLite's commit,
between that and PostgreSQL's, or behind both. It shares the file with others of its kind, which it
should not.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cdc.config import load
from cdc.errors import CdcError
from cdc.pipeline import reverse
from cdc.pipeline.reverse import ReverseFlow
from cdc.postgres.connection import Target
from cdc.sqlite.reverse import ReverseWriter

CHANCE = 0.03


def _mortal(rng: random.Random, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but for a chance to die in front of it or behind it."""

    def run(*arguments: object, **options: object) -> Any:
        _maybe_die(rng)
        done = work(*arguments, **options)
        _maybe_die(rng)
        return done

    return run


def _maybe_die(rng: random.Random) -> None:
    if rng.random() < CHANCE:
        os.kill(os.getpid(), signal.SIGKILL)


def _main() -> None:
    config = load(Path(sys.argv[1]), environ={})
    epoch, rng = int(sys.argv[2]), random.Random(int(sys.argv[3]))
    ReverseWriter.write = _mortal(rng, ReverseWriter.write)  # type: ignore[method-assign]
    reverse.reverse.settle = _mortal(rng, reverse.reverse.settle)
    (source,) = config.sources
    with Target(config.postgres.dsn) as target:
        flow = ReverseFlow(
            source.name, source.path, target, epoch, batch_entries=rng.choice([3, 50])
        )
        print("ready", flush=True)  # noqa: T201  (tells the test)
        while True:
            try:
                flow.step()
            except CdcError:
                continue  # another one was quicker, or the file was busy


if __name__ == "__main__":
    _main()
