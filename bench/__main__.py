"""`python -m bench [NAME…] [--quick]`: run the benches and print what they found."""

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import product, target
from bench.report import Figure, show

NAMES: Final = (
    "copy",
    "catch_up",
    "replay",
    "mapping",
    "capture_cost",
    "lag",
    "memory",
    "plan",
    "idle",
    "proof",
    "freeze",
)


def main() -> int:
    """Exit 0 when every bound was met, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which, of {', '.join(NAMES)}; without it all"
    )
    parser.add_argument("--quick", action="store_true", help="less data and fewer repetitions")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no bench {', '.join(sorted(unknown))}")
    product.compile_modules()
    figures: list[Figure] = []
    with target.server() as dsn:
        for name in options.names or NAMES:
            started = time.monotonic()
            print(f"{name} …", end=" ", flush=True, file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix=f"cdc-bench-{name}-") as directory:
                run = importlib.import_module(f"bench.{name}").run
                figures += run(dsn, Path(directory), quick=options.quick)
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    show(figures)
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
