"""The segments of one changelog, in a directory of their own: new ones come at one end, old ones go
at the other.

A segment is written to a file of another name, flushed, and renamed: so the directory holds whole
segments alone, whatever ends the process. One process at a time adds: the holder of the source's
lock.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cdc.archive.segment import AnyHeader, Segment, compose, digest, file_name, unusable
from cdc.errors import ArchiveDamaged

UNFINISHED: Final = ".unfinished"


class Chain:
    """The segments on disk, oldest first. `segments` is as of the last look or change."""

    def __init__(self, directory: Path, source: str, log: str) -> None:
        self.directory = directory / source / log
        self.source = source
        self.log = log
        self.segments: list[Segment] = []
        self.look()

    def look(self) -> None:
        """Read the directory again; keeps what is known of segments that are still there."""
        known = {segment.path: segment for segment in self.segments}
        try:
            paths = sorted(self.directory.iterdir()) if self.directory.is_dir() else []
        except OSError as error:
            raise unusable(self.directory, error) from error
        found = (known.get(path) or Segment.of(path) for path in paths)
        self.segments = [segment for segment in found if segment is not None]

    @property
    def last(self) -> Segment | None:
        return self.segments[-1] if self.segments else None

    @property
    def next_number(self) -> int:
        """The number of the next segment to be added."""
        return self.last.number + 1 if self.last else 1

    @property
    def previous(self) -> str:
        """The digest that the next segment's header has to carry."""
        return self.last.digest if self.last else ""

    def check_unbroken(self) -> None:
        """Raise ArchiveDamaged where numbers are missing or there twice; reads no file."""
        for before, after in zip(self.segments, self.segments[1:], strict=False):
            if after.number != before.number + 1:
                raise ArchiveDamaged(
                    f"Behind segment {before.number} of {self.directory} comes {after.number}.",
                    hint="cdc archive verify names what is missing or does not belong there.",
                )

    def add(self, header: AnyHeader, body: bytes) -> Segment:
        """Make a segment durable; the header carries `next_number` and `previous`."""
        assert (header.number, header.previous) == (self.next_number, self.previous)
        data = compose(header, body)
        kind = "events" if header.__struct_config__.tag == "events" else "baseline"
        segment = Segment(Path(), header.number, kind, digest(data))  # type: ignore[arg-type]
        path = self.directory / file_name(segment.number, segment.kind, segment.digest)
        try:
            _make_directory(self.directory)
            unfinished = path.with_name(UNFINISHED)
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
            _flush_directory(self.directory)
        except OSError as error:
            raise unusable(path, error) from error
        made = Segment(path, segment.number, segment.kind, segment.digest)
        self.segments.append(made)
        return made

    def let_go(self, segments: Sequence[Segment]) -> None:
        """Delete the oldest segments, which these must be, oldest first."""
        assert list(segments) == self.segments[: len(segments)]
        try:
            for segment in segments:
                segment.path.unlink(missing_ok=True)
                # In this order on disk, too: what is left is a chain at any moment.
                _flush_directory(self.directory)
                self.segments.pop(0)
        except OSError as error:
            raise unusable(self.directory, error) from error

    def end(self) -> None:
        """Delete all of it: its log is over."""
        self.let_go(list(self.segments))
        try:
            # What a kill has left of a segment that was being written.
            (self.directory / UNFINISHED).unlink(missing_ok=True)
            self.directory.rmdir()
        except OSError as error:
            raise unusable(self.directory, error) from error


def logs(directory: Path, source: str) -> list[str]:
    """The ids of the changelogs of a source that the archive holds segments of, oldest first."""
    found = []
    try:
        for path in (directory / source).iterdir():
            with suppress(FileNotFoundError):  # an old one goes with the last of its segments
                if path.is_dir():
                    found.append((path.stat().st_ctime, path.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(directory / source, error) from error
    return [name for _, name in sorted(found)]


def set_aside(directory: Path, source: str, name: str) -> Path | None:
    """Move all chains of a source to the directory `name` beside it; where they are now, if any."""
    old, new = directory / source, directory / name
    try:
        if not old.exists():
            return None
        old.rename(new)
        _flush_directory(directory)
    except OSError as error:
        raise unusable(old, error) from error
    return new


def _make_directory(directory: Path) -> None:
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True, mode=0o700)  # rows of the application, for its user alone
        _flush_directory(each.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
