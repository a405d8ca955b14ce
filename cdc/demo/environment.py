"""The environment file of the services: which database they use, and whether trading is locked.

A service reads it when it starts and when it is asked to read it again; the lock alone is looked at
before every order. `cdc cutover` and `cdc rollback` change it, as the configuration says.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

FILE: Final = ".env"

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

_TEXT: Final = """\
# What the services of the demo read when they start. cdc cutover and cdc rollback change it.
DB_ENGINE=sqlite
LOCK_TRADING=false
MIGRATION_MODE=normal
DATABASE_URL={url}
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the file says. `database_url` is PostgreSQL's, in any form that libpq reads."""

    engine: str = SQLITE
    trading_locked: bool = False
    mode: str = "normal"
    database_url: str = ""

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The environment of the services in `directory`; without a file all is as it always was.

        Raises ValueError where it names a database that there is not.
        """
        try:
            text = (directory / FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        values = dict(_variables(text))
        engine = values.get("DB_ENGINE", SQLITE)
        if engine not in (SQLITE, POSTGRESQL):
            raise ValueError(f"DB_ENGINE is {engine!r}, and may be {SQLITE} or {POSTGRESQL}")
        return cls(
            engine=engine,
            trading_locked=values.get("LOCK_TRADING", "false") == "true",
            mode=values.get("MIGRATION_MODE", "normal"),
            database_url=values.get("DATABASE_URL", ""),
        )


def write(directory: Path, database_url: str) -> None:
    """Make the file, for services that write to SQLite and will one day find PostgreSQL there."""
    text = _TEXT.format(url=shlex.quote(database_url))
    (directory / FILE).write_text(text, encoding="utf-8")


def _variables(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "export":
            del words[0]
        if words and "=" in words[0]:
            name, _, value = words[0].partition("=")
            yield name, value
