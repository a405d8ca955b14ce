"""Has the services read their environment again: `python -m cdc.demo.reload DIRECTORY`.

The `start` hook of the demo. It ends when every service works on the side that the environment file
names, so that whatever comes next finds them there; the exit code is 1 where one does not.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from cdc.demo.environment import Environment
from cdc.demo.services.presence import SUFFIX, Present, look, present

PATIENCE_SECONDS: Final = 20.0
"""A service may be in the middle of its 5 s busy timeout, and looks at all it has written."""

LOOK_SECONDS: Final = 0.02


def reload(directory: Path) -> list[str]:
    """Ask every service, and wait for all; those that did not follow, each with what is wrong."""
    engine = Environment.read(directory).engine
    asked = list(present(directory))
    for service in asked:
        os.kill(service.pid, signal.SIGHUP)
    end = time.monotonic() + PATIENCE_SECONDS
    return [
        wrong for service in asked if (wrong := _wait(directory, service, engine, end)) is not None
    ]


def _wait(directory: Path, asked: Present, engine: str, end: float) -> str | None:
    path = directory / f"{asked.service}{SUFFIX}"
    while (now := look(path)) is None or now.beginnings == asked.beginnings:
        if not path.exists():
            return f"{asked.service} has ended"
        if time.monotonic() > end:
            return f"{asked.service} has not begun again within {PATIENCE_SECONDS:g} s"
        time.sleep(LOOK_SECONDS)
    if now.engine != engine:
        return f"{asked.service} works on {now.engine}"
    print(f"{asked.service} works on {engine}")
    return None


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cdc.demo.reload", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the seven files are")
    wrong = reload(parser.parse_args(argv).directory)
    for words in wrong:
        print(words, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
