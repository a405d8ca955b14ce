"""Since when, and until when, the log tells of each table under which layout, and how surely."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cdc.archive.reader import Baseline
from cdc.constraints import folded
from cdc.schema import Table
from cdc.sqlite.layouts import Record


@dataclass(frozen=True, slots=True)
class Life:
    """One capture of a table: its events are those of `layout`, behind event `begun`, up to and
    with event `ended` (None: it goes on).

    Of one that has ended, `sure` is the last event up to which it is known to have missed nothing.
    `heir` is the layout of the capture that took its place. `ddl` made the table and its indexes
    when it began, as far as that is kept.
    """

    layout: int
    table: Table
    begun: int
    empty: bool
    ended: int | None
    sure: int | None
    heir: int | None
    ddl: tuple[str, ...]
    baselines: tuple[Baseline, ...]

    @property
    def name(self) -> str:
        return self.table.name

    def is_there(self, seq: int) -> bool:
        """Whether this capture was in place when event `seq` was the last one.

        At the event with which it ended it may have been, or its heir.
        """
        if self.ended is None or seq < self.ended:
            return self.begun <= seq
        return seq == self.ended and self.heir is not None

    def is_sure(self, seq: int) -> bool:
        """Whether it is known to have missed nothing by then."""
        return self.ended is None or (self.sure is not None and seq <= self.sure)

    def base(self, seq: int) -> Baseline | None:
        """The newest baseline from which the state at event `seq` can be rebuilt."""
        fit = (each for each in self.baselines if each.last_as_of <= seq)
        return max(fit, key=lambda each: (each.first_as_of, each.number), default=None)


def lives(
    records: Mapping[int, Record], captured: Collection[int] | None, baselines: Sequence[Baseline]
) -> list[Life]:
    """Every capture of a log of which anything can be told, oldest first.

    `captured` are the layouts of the captures that are in place now, None where nobody can say.
    """
    found = []
    for layout, record in sorted(records.items()):
        own = tuple(each for each in baselines if each.layout == layout)
        begun = record.span.begun if record.span else min((b.first_as_of for b in own), default=-1)
        if begun < 0:
            continue  # made by an early version of cdc, and no baseline of it is left
        heir = _heir(layout, record, records)
        ended, sure = _end(record, records.get(heir) if heir else None)
        if ended is None and captured is not None and layout not in captured:
            ended = sure = max((b.last_as_of for b in own), default=begun)
        elif ended is not None and sure is None:
            sure = max((b.last_as_of for b in own if b.last_as_of <= ended), default=begun)
        found.append(
            Life(
                layout,
                record.table,
                begun,
                empty=record.span is not None and record.span.empty,
                ended=ended,
                sure=_least(sure, ended),
                heir=heir,
                ddl=record.ddl,
                baselines=own,
            )
        )
    return found


def _heir(layout: int, record: Record, records: Mapping[int, Record]) -> int | None:
    """The layout of the capture that took the place of one, as far as that is known."""
    name = folded(record.table.name)
    ended = record.span.ended if record.span else None
    for later, other in sorted(records.items()):
        if later <= layout or other.span is None:
            continue
        if any(ancestor.layout == layout for ancestor in other.ancestors):
            return later
        if folded(other.table.name) == name:
            # A table that is made again after a while is another one.
            return later if ended in {None, other.span.begun} else None
    return None


def _end(record: Record, heir: Record | None) -> tuple[int | None, int | None]:
    """When a capture ended, and up to when it was sure, as far as that is recorded."""
    if record.span is not None and record.span.ended is not None:
        return record.span.ended, record.span.sure
    if heir is not None and heir.span is not None:
        return heir.span.begun, heir.span.sure_before
    return None, None


def _least(sure: int | None, ended: int | None) -> int | None:
    return sure if sure is None or ended is None else min(sure, ended)
