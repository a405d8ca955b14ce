"""One segment: a gzip file of JSON lines, which can be read without any database.

The first line is the header, in a gzip member of its own, so that it can be read alone. The lines
of a segment of events are the events, without the NULLs at their ends. In a segment of a baseline
each chunk is a line of its own (an object), followed by its rows.

The file's name carries its place in the chain and the SHA-256 digest of all of its bytes, its
header the digest of the segment before it: so a chain hangs on the digest of its last segment.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec
from isal import igzip_lib, isal_zlib
from msgspec import Struct

from cdc.errors import ArchiveDamaged, ArchiveError, SegmentGone

FORMAT: Final = 1
LEVEL: Final = 1
"""Of ISA-L's four, which begin at 0: rows of numbers and short words take fewer bytes than at the
second of zlib's nine, in a quarter of the time that zlib needs at its first."""

GZIP: Final = 31
"""The code for the largest window with gzip's frame."""

READ_BYTES: Final = 64 * 1024
"""Of the file; what becomes of them stays in the processor's cache."""

NAME: Final = re.compile(r"(\d{10})-(events|baseline)-([0-9a-f]{64})\.jsonl\.gz")

Kind = Literal["events", "baseline"]


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every segment says of itself.

    `number` counts the segments of a chain from 1; `previous` is the digest of the one before, ""
    for the first. `log` is the id of the changelog. `layouts` are the definitions of the layouts
    that the segment's rows have, by id, as `cdc.sqlite.layouts.load` reads them.
    """

    format: int
    source: str
    log: str
    number: int
    previous: str
    created_at: float
    layouts: dict[int, str]


class EventsHeader(Header, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="events"):
    """Events without a gap from seq `first` to `last`, `count` of them, the first made at
    `first_at`, the last at `last_at` (Julian days); `last_digest` is `cdc.event.digest` of the
    last one, in hexadecimal.
    """

    first: int
    last: int
    count: int
    first_at: float
    last_at: float
    last_digest: str


class BaselineHeader(Header, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="baseline"):
    """Part number `part` (from 1) of a baseline of one table; `ends` with the last one.

    `baseline` is the number of the segment that holds part 1. Its chunks were read when the log
    ended at `first_as_of` to `last_as_of`; `place` is where its last chunk ends, a row as of
    `cdc.archive.rows`, null before the first row. `count` rows.
    """

    table: str
    layout: int
    baseline: int
    part: int
    ends: bool
    count: int
    first_as_of: int
    last_as_of: int
    place: str | None


AnyHeader = EventsHeader | BaselineHeader


_DECODER: Final = msgspec.json.Decoder(EventsHeader | BaselineHeader)


class Body:
    """The lines of a segment to be, compressed as they come.

    `size` counts their bytes as they were before.
    """

    def __init__(self) -> None:
        self._deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, lines: bytes) -> None:
        """Add whole lines."""
        self.size += len(lines)
        self._parts.append(self._deflate.compress(lines))

    def end(self) -> bytes:
        """The compressed lines; nothing can be added any more."""
        self._parts.append(self._deflate.flush())
        return b"".join(self._parts)


def compose(header: AnyHeader, body: bytes) -> bytes:
    """The bytes of the file."""
    line = msgspec.json.encode(header) + b"\n"
    return _gzip(line) + body


def digest(data: bytes) -> str:
    """The digest of a segment's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_name(number: int, kind: Kind, digest: str) -> str:
    """What the file of a segment is called."""
    return f"{number:010d}-{kind}-{digest}.jsonl.gz"


@dataclass(frozen=True)
class Segment:
    """A segment on disk, by its name; nothing of what the file holds has been checked yet."""

    path: Path
    number: int
    kind: Kind
    digest: str

    @classmethod
    def of(cls, path: Path) -> "Segment | None":
        """The segment that a path names, None where it names something else."""
        found = NAME.fullmatch(path.name)
        if found is None:
            return None
        kind: Kind = "events" if found[2] == "events" else "baseline"
        return cls(path, int(found[1]), kind, found[3])

    @cached_property
    def header(self) -> AnyHeader:
        """The header, read from the file. Raises ArchiveDamaged."""
        with self.opened() as lines:
            return lines.header

    @property
    def events(self) -> EventsHeader:
        """The header of a segment of events. Raises ArchiveDamaged where it is none."""
        if not isinstance(self.header, EventsHeader):
            raise self.damaged("it is named for events, and holds something else")
        return self.header

    @property
    def baseline(self) -> BaselineHeader:
        """The header of a part of a baseline. Raises ArchiveDamaged where it is none."""
        if not isinstance(self.header, BaselineHeader):
            raise self.damaged("it is named for a baseline, and holds something else")
        return self.header

    @property
    def size(self) -> int:
        """The bytes of the file."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise unusable(self.path, error) from error

    def opened(self) -> "Lines":
        """The segment's lines, to be read once, in a `with`."""
        return Lines(self)

    def lines(self) -> list[bytes]:
        """The lines of a segment of events, one for each, found to be what was written."""
        lines: list[bytes] = []
        with self.opened() as opened:
            for block in opened.blocks():
                lines += block
        if len(lines) != self.events.last - self.events.first + 1:
            raise ArchiveDamaged(f"Segment {self.number} ({self.path}) lacks events.")
        return lines

    def damaged(self, what: str) -> ArchiveDamaged:
        """The error that says what is wrong with this segment."""
        return ArchiveDamaged(
            f"Segment {self.number} ({self.path}) is damaged: {what}.",
            hint="Put the file back from a copy of the archive; cdc archive verify looks at all.",
        )

    def read_bytes(self) -> bytes:
        """All of the file."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise unusable(self.path, error) from error


class Lines:
    """The lines of one segment behind its header, as they are decompressed.

    When the last one has been read, the whole file was as its name says; otherwise ArchiveDamaged
    is raised instead of an end.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        try:
            self._file = segment.path.open("rb")
        except OSError as error:
            raise unusable(segment.path, error) from error
        self._hash = hashlib.sha256()
        self._blocks = self._read()
        self._rest: list[bytes] = []
        """Lines that came together with the header."""
        try:
            self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[list[bytes]]:
        """The lines, as many at once as come together."""
        yield self._rest
        yield from self._blocks

    def _read_header(self) -> AnyHeader:
        first: list[bytes] = []
        while not first:
            first = next(self._blocks, [b""])
        line, *self._rest = first
        try:
            header: AnyHeader = _DECODER.decode(line)
        except msgspec.DecodeError as error:
            raise self._segment.damaged(f"its header cannot be read ({error})") from error
        if header.format > FORMAT:
            raise ArchiveError(
                f"{self._segment.path} has format {header.format}; this cdc knows {FORMAT}.",
                hint="Use the version of cdc that wrote the archive, or a later one.",
            )
        return header

    def _read(self) -> Iterator[list[bytes]]:
        open_: list[bytes] = []  # parts of a line, which may be as long as a blob
        for text in self._decompressed():
            open_.append(text)
            if b"\n" in text:
                lines = b"".join(open_).split(b"\n")
                open_ = [lines.pop()]
                yield lines
        if any(open_):
            raise self._segment.damaged("its last line has no end")
        if self._hash.hexdigest() != self._segment.digest:
            raise self._segment.damaged("its bytes are not those that its name tells")

    def _decompressed(self) -> Iterator[bytes]:
        member: Any = None
        for data in iter(lambda: self._file.read(READ_BYTES), b""):
            self._hash.update(data)
            rest = data
            while rest:
                member = member or isal_zlib.decompressobj(GZIP)
                try:
                    yield member.decompress(rest)
                except igzip_lib.IsalError as error:  # type: ignore[misc]  # a class, whatever its stub says
                    raise self._segment.damaged(f"it cannot be decompressed ({error})") from error
                rest = member.unused_data
                member = None if member.eof else member
        if member is not None:
            raise self._segment.damaged("it ends in its middle")


def _gzip(data: bytes) -> bytes:
    deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
    return deflate.compress(data) + deflate.flush()


def unusable(path: Path, error: OSError) -> ArchiveError:
    """The error for a file of the archive that the system does not let us use."""
    kind = SegmentGone if isinstance(error, FileNotFoundError) else ArchiveError
    return kind(
        f"{path} cannot be used ({error.strerror}).",
        hint="Check the disk and the rights of [archive] directory.",
    )
