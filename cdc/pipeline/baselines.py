"""Baselines: a table's rows as they were at known moments, written into the event store.

They are read in chunks, beside replication and independent of it; each chunk is exact at the end of
the log that is read with it. So a replay needs no events from before, and none that a gap in the
capture has lost: a capture that begins anew has a new layout, and its table gets a new baseline.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Self

from cdc.archive.chain import Chain
from cdc.archive.reader import load_place
from cdc.archive.segment import BaselineHeader
from cdc.archive.writing import BaselineDraft
from cdc.config import SourceConfig
from cdc.errors import SchemaMoved
from cdc.sqlite import introspect, layouts
from cdc.sqlite.captures import captured, stored_captures
from cdc.sqlite.chunks import ChunkReader
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.rows import Bound
from cdc.sqlite.verification import Finding, verify


@dataclass(frozen=True, slots=True)
class Due:
    """A table that needs a baseline, which goes on behind the part `before`, if that is not None.

    `schema_version` is the file's as of which its capture was found to be intact.
    """

    source: SourceTable
    layout: int
    definition: str
    schema_version: int
    before: BaselineHeader | None

    @property
    def name(self) -> str:
        return self.source.name


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a file whose capture misses nothing at the moment, each with its layout."""

    captured: tuple[tuple[SourceTable, int], ...]
    definitions: Mapping[int, str]
    schema_version: int

    @classmethod
    def of(cls, file: SourceFile, source: SourceConfig) -> Self:
        """Those of a file, as far as the configuration wants them captured."""
        with file.reading():
            wanted = [n for n in introspect.table_names(file) if source.captures(n)]
            intact = {n for n, found in verify(file, wanted).items() if found is Finding.INTACT}
            # While a mirror is being filled, a row can be evicted without an event.
            mirrored = {capture.layout for capture in stored_captures(file) if capture.mirrored}
            found = [c for c in captured(file, intact) if c.layout in mirrored]
            return cls(
                tuple((c.source, c.layout) for c in found),
                layouts.read_definitions(file),
                file.schema_version,
            )

    @property
    def layouts(self) -> list[int]:
        return [layout for _, layout in self.captured]

    def due(
        self, chain: Chain, wishes: Mapping[str, float], longest_seconds: float
    ) -> Iterator[Due]:
        """The tables whose last baseline is missing, unfinished, older than `longest_seconds` (0:
        of any age), or not the one that is wished for.
        """
        parts = latest_parts(chain)
        for source, layout in self.captured:
            last = parts.get(layout)
            before = None
            if last is not None and source.name not in wishes:
                age = time.time() - last.created_at
                if last.ends and (not longest_seconds or age < longest_seconds):
                    continue
                before = None if last.ends else last
            yield Due(source, layout, self.definitions[layout], self.schema_version, before)


def latest_parts(chain: Chain) -> dict[int, BaselineHeader]:
    """The last part of the newest baseline of each layout."""
    baselines: dict[int, list[BaselineHeader]] = {}
    for segment in chain.segments:
        if segment.kind == "baseline":
            baselines.setdefault(segment.baseline.baseline, []).append(segment.baseline)
    newest = {parts[0].layout: parts for _, parts in sorted(baselines.items())}
    return {layout: parts[-1] for layout, parts in newest.items() if parts[0].part == 1}


class BaselineWriter:
    """Writes baselines of the tables of one open file.

    `size` is that of a full segment in bytes, `bound` that of one read. `rest` is called after each
    read with the time at which it began, and says whether to stop. Once `deadline` (a time of
    time.monotonic) is over, the work ends with the next full segment, to be taken up again.
    """

    def __init__(
        self,
        file: SourceFile,
        source: SourceConfig,
        chain: Chain,
        size: int,
        bound: Bound,
        *,
        rest: Callable[[float], bool],
        deadline: float = inf,
    ) -> None:
        self._file = file
        self._source = source
        self._chain = chain
        self._size = size
        self._bound = bound
        self._rest = rest
        self._deadline = deadline

    @property
    def over(self) -> bool:
        """Whether the deadline is."""
        return time.monotonic() >= self._deadline

    def write(self, due: Due, *, begun: Callable[[], None]) -> None:
        """Write a table's baseline to its end, or until it is time to stop.

        `begun` is called when the first part is on disk: whoever goes on goes on with this one.
        Raises SchemaMoved where the schema is another by now.
        """
        with self._file.reading():
            reader = ChunkReader(self._file, due.source)
        before, stopped = due.before, False
        place = load_place(before.place) if before else None
        while not stopped and not (before and before.ends):
            draft = BaselineDraft(self._chain, due.name, due.layout, due.definition, before)
            while True:
                started = time.monotonic()
                with self._file.reading():
                    if self._file.schema_version != due.schema_version:
                        raise SchemaMoved(f"The schema of {self._file.path} changed.")
                    chunk = reader.read(place, self._bound)
                draft.add(chunk)
                place = chunk.place
                stopped = self._rest(started)
                if chunk.last or stopped or draft.size >= self._size:
                    break
            before = draft.write()
            if before.part == 1:
                begun()
            stopped = stopped or self.over
