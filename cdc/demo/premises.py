"""What stands on the ground of the demo before it begins: its directory, and what it holds.

demo/config.toml      the configuration of cdc
demo/rec_io/          the files of the trading system, and their environment file
demo/bin/             what the configuration's hooks run
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from cdc.demo import environment
from cdc.demo.ddl import load
from cdc.demo.fleet import make_history
from cdc.postgres.connection import Target
from cdc.postgres.translate import translated
from cdc.resources import demo_config

CONFIG: Final = "config.toml"
FILES: Final = "rec_io"
PROGRAMS: Final = "bin"

HOOKS: Final[Mapping[str, str]] = {
    "reload": "cdc.demo.reload",
    "regression": "cdc.demo.regression",
    "compare": "cdc.demo.comparison",
}
"""The programs of the operator, each a module of the demo."""

WRITER: Final = "rec_writer"

_PROGRAM: Final = """\
#!/bin/sh
cd "$(dirname "$0")/.." && exec {python} -m {module} {files}
"""


def is_demo(directory: Path) -> bool:
    """Whether a directory was furnished by `furnish`, and may be made anew."""
    return (directory / CONFIG).exists() and (directory / FILES).is_dir()


def furnish(directory: Path) -> None:
    """Make everything but PostgreSQL, in a directory that is not there. Raises ServiceFailed."""
    (directory / FILES).mkdir(parents=True)
    (directory / PROGRAMS).mkdir()
    (directory / CONFIG).write_text(demo_config(), encoding="utf-8")
    for name, module in HOOKS.items():
        program = directory / PROGRAMS / name
        # By its whole path: the one that runs this need not be the first on anybody's PATH.
        python = shlex.quote(sys.executable)
        program.write_text(_PROGRAM.format(python=python, module=module, files=FILES), "utf-8")
        program.chmod(0o755)
    make_history(directory / FILES)


def invite(directory: Path, dsn: str) -> None:
    """Tell the services where PostgreSQL will be, of which `dsn` is the DSN of the operator."""
    environment.write(directory / FILES, make_conninfo(dsn, user=WRITER))


def admit(target: Target) -> None:
    """Let the services in, now that the tables are there. Raises TargetError."""
    with target.lease() as conn, translated("let the services in"):
        conn.execute(load(WRITER).encode())
