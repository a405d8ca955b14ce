"""A report as one page that needs nothing else, to be kept or printed: what all of them share."""

import os
import shlex
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import NamedTemporaryFile
from typing import Final

import apsw

from cdc import __version__
from cdc.config import Config
from cdc.errors import ConfigError
from cdc.postgres import dsn
from cdc.postgres.connection import Target
from cdc.redact import redact
from cdc.sqlite.surroundings import user_name

NONE: Final = "—"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who ran the command, on what. `target` names no password, nor does `command`."""

    user: str
    host: str
    command: str
    configuration: str
    target: str
    postgres: str
    paths: dict[str, str]

    @property
    def facts(self) -> dict[str, str]:
        """The same in words, for a page."""
        return {
            "Run by": f"{self.user} on {self.host}",
            "Command": self.command,
            "Configuration": self.configuration,
            "Versions": f"cdc {__version__}, SQLite {apsw.sqlite_lib_version()},"
            f" PostgreSQL {self.postgres}",
        }

    @classmethod
    def of(cls, config: Config, target: Target) -> "Circumstances":
        """Those of this very process. Raises TargetError."""
        with target.lease() as conn:
            postgres = conn.info.parameter_status("server_version") or "?"
        return replace(cls.without_target(config), target=target.description, postgres=postgres)

    @classmethod
    def without_target(cls, config: Config) -> "Circumstances":
        """The same where PostgreSQL is not asked."""
        return cls(
            user_name(os.geteuid()),
            socket.gethostname(),
            redact(shlex.join(["cdc", *sys.argv[1:]])),
            str(config.path.resolve()),
            "the embedded server"
            if config.postgres.embedded
            else dsn.describe(config.postgres.dsn),
            "not asked",
            {source.name: str(source.path) for source in config.sources},
        )


def check_place(path: Path) -> None:
    """Raise ConfigError where no page could be written in the end: the run may take hours."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(
            f"--html {path}: no file can be written there.",
            hint="Name a file in a folder that exists and that you may write to.",
        )


def write_page(path: Path, page: str) -> None:
    """Write the page, whole or not at all. Raises ConfigError."""
    path = path.absolute()
    draft = None
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            draft = Path(file.name)
            file.write(page)
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        raise ConfigError(
            f"--html {path}: it could not be written ({error.strerror}).",
            hint="Make room, or name another file, and run the command again.",
        ) from error


def page(
    title: str,
    heading: str,
    conclusion: str,
    *,
    good: bool,
    facts: Mapping[str, str],
    body: str,
    footer: str,
) -> str:
    """The page: texts are anybody's and made harmless here, but for `body`, which is HTML."""
    template = (files("cdc.cli") / "page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=text(title),
        tone="yes" if good else "no",
        heading=text(heading),
        conclusion=text(conclusion),
        facts="\n".join(f"<dt>{text(name)}</dt><dd>{text(v)}</dd>" for name, v in facts.items()),
        body=body,
        footer=text(footer),
    )


def grid(header: str, rows: str) -> str:
    return (
        f'<div class="wide"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n'
        "</tbody></table></div>"
    )


def code(value: str | None) -> str:
    return NONE if value is None else f"<code>{text(value)}</code>"


def text(value: str) -> str:
    r"""A text of anybody's, harmless and visible.

    >>> text("<b>\x1b[1m" + chr(0x202E))
    '&lt;b&gt;\\x1b[1m\\u202e'
    """
    visible = "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in value
    )
    return escape(visible)


def utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
