"""What a backup says of itself: the file that is written last, and names the digest of every other.

It seals itself, too: the digest in its first line is that of all that follows it.
"""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from cdc import durable
from cdc.errors import BackupDamaged

FILE: Final = "manifest.json"
FORMAT: Final = 1
READ_BYTES: Final = 1024 * 1024

Advance = Callable[[int], object]
"""Told of how many bytes more have been read."""


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the backup: its name there, its size, and the SHA-256 digest of its bytes."""

    name: str
    bytes: int
    sha256: str


class KeptTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of PostgreSQL, as `cdc.postgres.exported` tells what it holds."""

    rows: int
    digest: str


class KeptDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """PostgreSQL at the moment of the backup. `master` says that the services write to it; `roles`
    are those to which something was granted.
    """

    name: str
    server_version: int
    dump_version: int
    target_id: str
    master: bool
    file: KeptFile
    tables: dict[str, KeptTable]
    roles: tuple[str, ...]


class KeptSource(msgspec.Struct, frozen=True, kw_only=True):
    """A SQLite file: PostgreSQL stands at `position` of its log, and it at `end` itself.

    `mode` are the rights of the live one, as a number.
    `rows` counts those of captured tables, `unsettled` are tables that are of no single moment.
    """

    name: str
    path: str
    mode: int
    file: KeptFile
    log_id: str
    position: int
    end: int
    rows: dict[str, int]
    unsettled: tuple[str, ...]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of restoring the backup into scratch databases and comparing both there.

    `not_proven` are tables that could not be compared, each with the reason, which was the same in
    the databases themselves.
    """

    equal: bool
    seconds: float
    tables: int
    rows: int
    not_proven: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A backup. Both sides are consistent: the events from each position to the end are in the
    file, so that the daemon brings PostgreSQL to the file's own moment.
    """

    format: int = FORMAT
    cdc: str
    began_at: datetime
    ended_at: datetime
    database: KeptDatabase
    sources: tuple[KeptSource, ...]
    trial: Trial | None = None

    @property
    def files(self) -> list[KeptFile]:
        return [self.database.file, *(source.file for source in self.sources)]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.files)


class _Sealed(msgspec.Struct, frozen=True):
    sha256: str
    manifest: msgspec.Raw


def write(folder: Path, manifest: Manifest) -> None:
    """Write it in one piece, and onto the disk."""
    text = msgspec.json.format(msgspec.json.encode(manifest))
    seal = sha256(text).hexdigest()
    durable.write(folder / FILE, b'{"sha256": "%s",\n"manifest": %s}\n' % (seal.encode(), text))


def read(folder: Path) -> Manifest:
    """The manifest of a backup. Raises BackupDamaged for anything that is none."""
    path = folder / FILE
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        text = bytes(sealed.manifest)
        if sha256(text).hexdigest() != sealed.sha256:
            raise BackupDamaged(
                f"{path} is not what was written.", hint="Take another backup, or a copy of this."
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError as error:
        raise BackupDamaged(
            f"{folder} holds no finished backup: there is no {FILE} in it.",
            hint="cdc backup --list shows those that there are.",
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise BackupDamaged(f"{path} cannot be read: {error}.") from error
    if manifest.format > FORMAT:
        raise BackupDamaged(
            f"{folder} has the format {manifest.format}; this version of cdc knows {FORMAT}.",
            hint=f"Restore it with cdc {manifest.cdc} or later.",
        )
    return manifest


def describe(folder: Path, name: str, advance: Advance = lambda _: None) -> KeptFile:
    """A file of the backup, as the manifest is to have it."""
    digest, size = sha256(), 0
    with (folder / name).open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            size += len(piece)
            advance(len(piece))
    return KeptFile(name=name, bytes=size, sha256=digest.hexdigest())


def check(folder: Path, kept: KeptFile, advance: Advance = lambda _: None) -> None:
    """Raise BackupDamaged unless the file is there, byte for byte as it was written."""
    try:
        found = describe(folder, kept.name, advance)
    except OSError as error:
        raise BackupDamaged(
            f"{folder / kept.name} cannot be read: {error.strerror}.",
            hint="The backup is not complete: take another one.",
        ) from error
    if found != kept:
        raise BackupDamaged(
            f"{folder / kept.name} is not what was written: it has {found.bytes} bytes with the"
            f" digest {found.sha256[:12]}…, not {kept.bytes} with {kept.sha256[:12]}….",
            hint="Take another backup, or a copy of this file from elsewhere.",
        )
