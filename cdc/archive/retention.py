"""Which segments are of no use any more: none that the latest baselines need, ever."""

from collections.abc import Collection, Mapping
from typing import Final

from cdc.archive.reader import Archive, Baseline
from cdc.archive.segment import Segment

DAY_SECONDS: Final = 86_400.0


def expendable(
    archive: Archive,
    layouts: Collection[int],
    *,
    now: float,
    keep_days: float,
    keep_bytes: int,
) -> int:
    """How many of the oldest segments may go.

    `layouts` are those of the tables as they are captured now. As far back as `keep_days` reaches
    (0: for ever), every state can be rebuilt from what stays, if it could before: from the baseline
    of each table that is older than that and the events since. Where the archive is larger than
    `keep_bytes` (0: any size), only the newest state counts. While a table lacks a baseline,
    nothing goes.
    """
    baselines = archive.baselines()
    by_layout: Mapping[int, list[Baseline]] = {
        layout: [b for b in baselines if b.layout == layout] for layout in layouts
    }
    if not layouts or not all(by_layout.values()):
        return 0
    segments = archive.chain.segments
    old = 0
    if keep_days:
        begin = now - keep_days * DAY_SECONDS
        roots = [_root(each, begin) for each in by_layout.values()]
        old = _before(segments, roots, until=begin)
    if not keep_bytes:
        return old
    most = _before(segments, [each[-1] for each in by_layout.values()], until=now)
    size = sum(segment.size for segment in segments)
    large = 0
    while large < most and size > keep_bytes:
        size -= segments[large].size
        large += 1
    return max(old, large)


def _root(baselines: list[Baseline], begin: float) -> Baseline:
    """The one from which the states since `begin` are rebuilt."""
    return next((b for b in reversed(baselines) if b.created_at <= begin), baselines[0])


def _before(segments: list[Segment], roots: list[Baseline], *, until: float) -> int:
    """How many of the oldest segments none of these baselines needs, nor a time after `until`."""
    number = min(root.number for root in roots)
    seq = min(root.first_as_of for root in roots)
    for count, segment in enumerate(segments):
        needed = segment.number >= number or (
            segment.kind == "events" and segment.events.last > seq
        )
        if needed or segment.header.created_at > until:
            return count
    return len(segments)
