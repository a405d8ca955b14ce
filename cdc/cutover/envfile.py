"""The file of environment variables that the services read, changed as a whole or not at all."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cdc.errors import CdcError

BACKUP: Final = ".before-cdc"
"""Ends the name of the copy that is kept of the file as it was before each change."""

_PLAIN: Final = re.compile(r"[\w@%+=:,./-]*")


class EnvFileError(CdcError):
    """The environment file could not be read or written."""


def check(path: Path) -> None:
    """Raise EnvFileError unless the file can be changed."""
    try:
        there = path.is_file()
    except OSError as error:
        raise EnvFileError(
            f"{path} cannot be reached ({error.strerror}).",
            hint="Run cdc as the services' user, or correct env_file in [cutover].",
        ) from error
    if not there:
        raise EnvFileError(
            f"There is no environment file at {path}.",
            hint="Correct env_file in [cutover], or make the file.",
        )
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)):
        raise EnvFileError(
            f"{path} or its directory cannot be written.", hint="Run cdc as the services' user."
        )


def change(path: Path, values: Mapping[str, str]) -> None:
    """Set these variables, and leave every other line as it is.

    A reader sees the old file or the new one, never half of it, and after a power cut it is one of
    the two. The old one stays beside it. Setting what is set changes nothing. Raises EnvFileError.
    """
    try:
        before = path.read_text(encoding="utf-8")
        after = changed(before, values)
        if after == before:
            return
        _replace(path.with_name(path.name + BACKUP), path, before)
        _replace(path, path, after)
    except (OSError, UnicodeDecodeError) as error:
        raise EnvFileError(
            f"{path} could not be changed: {error}.",
            hint="Set by hand: "
            + " ".join(f"{name}={_quoted(value)}" for name, value in values.items()),
        ) from error


def changed(text: str, values: Mapping[str, str]) -> str:
    r"""The text of the file with these variables set.

    Where one is set several times, each is changed: which of them counts depends on the reader.

    >>> changed("A=1\nexport DB_ENGINE=sqlite # now\n", {"DB_ENGINE": "postgresql", "B": "a b"})
    "A=1\nexport DB_ENGINE=postgresql\nB='a b'\n"
    """
    missing = dict(values)
    lines = []
    for line in text.splitlines(keepends=True):
        found = re.match(r"(\s*(?:export\s+)?)([A-Za-z_]\w*)=", line)
        if found is None or found[2] not in values:
            lines.append(line)
            continue
        missing.pop(found[2], None)
        lines.append(f"{found[1]}{found[2]}={_quoted(values[found[2]])}\n")
    if missing and lines and not lines[-1].endswith("\n"):
        lines.append("\n")
    lines += [f"{name}={_quoted(value)}\n" for name, value in missing.items()]
    return "".join(lines)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("'", "'\\''") + "'"


def _replace(path: Path, like: Path, text: str) -> None:
    """Put a file of this text at `path`, with the mode and the owner of `like`."""
    fresh = path.with_name(path.name + ".cdc-new")
    status = like.stat()
    with fresh.open("w", encoding="utf-8", newline="") as out:
        shutil.copymode(like, fresh)
        if os.geteuid() == 0:
            os.chown(fresh, status.st_uid, status.st_gid)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
