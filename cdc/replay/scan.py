"""The archive of one source looked through for its stretches, here or in a second process."""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final

from cdc.archive.segment import Segment
from cdc.helper import Helper
from cdc.logs import fields
from cdc.replay.stretches import SEGMENTS_AHEAD, Search, Stretch, stretches

log = logging.getLogger(__name__)

HELPED_BYTES: Final = 4 * 1024 * 1024
"""The size of segments from which on a helper is worth its start, some 0.1 s of a processor."""


class ArchiveScan:
    """Finds the stretches of a source, by a helper where there is much to look through.

    `lines_of` reads a segment, where that is done here. For one thread at a time.
    """

    def __init__(self, name: str, lines_of: Callable[[Segment], list[bytes]]) -> None:
        self._name = name
        self._lines_of = lines_of
        self._waiting: Helper[Stretch] | None = None

    def start(self, segments: Sequence[Segment]) -> None:
        """Have a helper get ready while others plan, if these segments are worth one."""
        if self._waiting is None and _is_worth_a_helper(segments):
            self._waiting = self._helper()

    def stretches(self, search: Search) -> Iterator[Stretch]:
        """The stretches of a search."""
        if _is_worth_a_helper(search.segments):
            return self._helped(search)
        return stretches(search, lines_of=self._lines_of)

    def close(self) -> None:
        """End the helper that nobody has needed; may be repeated."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def _helper(self) -> Helper[Stretch]:
        return Helper(stretches, on_lost=self._report_lost)

    def _helped(self, search: Search) -> Iterator[Stretch]:
        """The stretches, made by another process as soon as it is ready."""
        here: Generator[Stretch, None, None] | None = None
        after = search.after

        def make_here() -> Stretch | None:
            nonlocal here
            if here is None:
                # What is read ahead until the helper is ready would be read for nothing.
                ahead = 0 if helper.there else SEGMENTS_AHEAD
                here = stretches(search.behind(after), lines_of=self._lines_of, ahead=ahead)
            return next(here, None)

        def hand_over() -> tuple[object, ...]:
            nonlocal here
            if here is not None:
                here.close()
                here = None
            return (search.behind(after),)

        helper, self._waiting = self._waiting or self._helper(), None
        try:
            while (stretch := helper.take(make_here, hand_over)) is not None:
                after += stretch.count
                yield stretch
        finally:
            helper.close()
            if here is not None:
                here.close()

    def _report_lost(self, how: str) -> None:
        log.info(
            "The replay of %s goes on without a second process: %s.",
            self._name,
            how,
            extra=fields("helper_lost", source=self._name),
        )


def _is_worth_a_helper(segments: Sequence[Segment]) -> bool:
    return sum(segment.size for segment in segments) >= HELPED_BYTES
