"""PostgreSQL's own programs, pg_dump and pg_restore: found, and run without a secret in sight."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from psycopg.conninfo import make_conninfo

from cdc.errors import ConfigError, TargetRefused
from cdc.postgres import dsn as dsn_
from cdc.postgres import embedded

Name = Literal["pg_dump", "pg_restore"]

PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/*/bin")
"""Where Debian, Red Hat and Homebrew put the programs of each version."""

LOOK_SECONDS: Final = 0.1

LAST_LINES: Final = 5
"""Of what a program said, in the message when it fails."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One of the programs, of one major version."""

    name: Name
    path: Path
    version: int


def find(name: Name, least: int) -> Tool:
    """The program of the lowest version that will do, which is one from `least` on.

    A newer pg_dump reads older servers, but what it writes may be too new for them to read back.
    Raises TargetRefused where there is none.
    """
    found = {path: _version(path) for path in _candidates(name)}
    fitting = [(version, path) for path, version in found.items() if version and version >= least]
    if not fitting:
        seen = ", ".join(f"{version} in {path.parent}" for path, version in found.items())
        raise TargetRefused(
            f"there is no {name} of PostgreSQL {least} or later on this machine"
            + (f" (only {seen})" if seen else ""),
            hint=f"install the client programs (Debian: apt install postgresql-client-{least}), or"
            " put their directory into PATH",
        )
    version, path = min(fitting)
    return Tool(name, path, version)


def _candidates(name: Name) -> Iterator[Path]:
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for place in PLACES:
        folders += sorted(Path("/").glob(place.lstrip("/")))
    folders += embedded.program_folders()
    seen = set()
    for folder in folders:
        path = folder / name
        if shutil.which(path) and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def _version(path: Path) -> int:
    """Its major version, 0 where it does not tell."""
    try:
        said = subprocess.run(  # noqa: S603  (asked of a program of PostgreSQL's, without a shell)
            [path, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else 0


class Running:
    """A program at work on the database of a connection string. Leaving the block ends it."""

    def __init__(self, tool: Tool, dsn: str, arguments: Sequence[str]) -> None:
        self._tool = tool
        where, secrets = _without_secrets(dsn)
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(  # noqa: S603  (a program of PostgreSQL's)
                [tool.path, "--no-password", f"--dbname={where}", *arguments],
                env=os.environ | secrets,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self._said.close()
            raise TargetRefused(f"{tool.path} cannot be run: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def wait(self, tick: Callable[[], None]) -> None:
        """Wait for its end, and call `tick` now and then. Raises TargetRefused when it fails."""
        while self._process.poll() is None:
            tick()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK_SECONDS)
        if self._process.returncode:
            self._said.seek(0)
            lines = [line for line in self._said.read().splitlines() if line.strip()]
            raise TargetRefused(
                f"{self._tool.name} failed: " + " / ".join(lines[-LAST_LINES:]),
                hint="it must be able to read all that is in the database (GRANT pg_read_all_data"
                " TO …)"
                if self._tool.name == "pg_dump"
                else "",
            )


def _without_secrets(dsn: str) -> tuple[str, dict[str, str]]:
    """A connection string that may be seen, and what else is needed, for the environment.

    What stands on a command line can be read by every user of the machine.
    """
    parameters = dsn_.parse(dsn)
    if parameters.pop("sslpassword", None):
        raise ConfigError(
            "pg_dump cannot be given the sslpassword of the connection string without showing it",
            hint="take the passphrase off a copy of the key that only this user may read",
        )
    password = parameters.pop("password", None)
    secrets = {"PGPASSWORD": password} if password else {}
    parameters.setdefault("application_name", "cdc")
    return make_conninfo("", **parameters), secrets
