"""The way back: what others write to PostgreSQL, once it is master, is written to SQLite.

It goes by batches. Where SQLite stands is read first, then a batch of the queue with the rows that
it names, in one snapshot; SQLite writes it in one transaction if it still stands there; then the
entries leave the queue. A batch says how rows are and not what was done to them, so it may come
twice.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cdc.crossing.pairs import pairs
from cdc.errors import (
    DirectionChanged,
    Finished,
    SourceError,
    SourceUnavailable,
    TargetError,
)
from cdc.logs import fields
from cdc.pipeline.returning import Returning
from cdc.postgres import queue, reverse
from cdc.postgres.connection import Target
from cdc.postgres.queue import QueueBatch
from cdc.sqlite import introspect
from cdc.sqlite.captures import stored_captures
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.direction import Direction
from cdc.sqlite.reverse import ReverseWriter, RowsInTheWay
from cdc.sqlite.verification import Finding, verify

log = logging.getLogger(__name__)

BATCH_ENTRIES: Final = 1000
"""Entries of the queue in one batch, as long as no row is in the way of another one."""

POLL_SECONDS: Final = 0.05
"""Between two looks at an empty queue. NOTIFY would wake us, but makes the commits of all writers
wait for each other."""


_RESHAPED: Final = (Finding.RESHAPED, Finding.RENAMED, Finding.REFUSED)


@dataclass(frozen=True, slots=True)
class Written:
    """What one batch came to: its entries in the queue, the rows that SQLite could not hold, and
    when the first of them was written.
    """

    entries: int
    left_behind: int
    oldest: datetime | None = None


class ReverseFlow:
    """Brings one source what others have written, under one epoch. For one thread.

    Whoever uses it holds the source's lock. `epoch` is the gate's, from when it was opened; once
    the file is not armed with it any more, `step` raises DirectionChanged and writes nothing. It
    goes on after the gate is closed again, until the queue is empty.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        target: Target,
        epoch: int,
        *,
        batch_entries: int = BATCH_ENTRIES,
        wait: Wait = time.sleep,
    ) -> None:
        """Open the file. Raises SourceError, and TargetRefused where a table has no target."""
        self._name = name
        self._target = target
        self._epoch = epoch
        self._batch_entries = batch_entries
        self._wait = wait
        self._file = SourceFile(path, without_triggers=True, durable=True)
        try:
            _check_shapes(self._file)
            with target.lease() as conn:
                found = pairs(conn, self._file, name)
            self._tables = [pair.mapped for pair in found]
            self._writer = ReverseWriter(self._file, [pair.captured for pair in found])
            self._returning = {pair.captured.name: Returning(pair.mapped) for pair in found}
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        self._file.close()

    def step(self) -> Written | None:
        """Bring one batch; None where the queue is empty.

        Raises DirectionChanged, SchemaMoved, SourceError, TargetError. After any of them the same
        step may be tried again: nothing is lost, and nothing done twice comes out differently.
        Raises Finished once there is no way back any more.
        """
        try:
            return self._step()
        except TargetError:
            self._stand()  # the queue goes when all is finished
            raise

    def _step(self) -> Written | None:
        self._check_file()
        self._stand()  # also where nothing waits: the direction may have turned
        with self._target.lease() as conn:
            if not queue.waiting(conn, self._name):
                return None
        limit = self._batch_entries
        while True:
            # SQLite first. A batch that was read before another one was written is older than it.
            stand = self._stand()
            with self._target.lease() as conn:
                batch = queue.take(conn, self._name, self._tables, limit=limit)
            if not batch.ids:
                return None
            try:
                return self._bring(stand, batch)
            except RowsInTheWay as error:
                limit *= 4
                log.info(
                    "%s Taking up to %d entries along.",
                    error,
                    limit,
                    extra=fields("reverse_extended", source=self._name, entries=limit),
                )

    def _check_file(self) -> None:
        if self._file.replaced:
            raise SourceUnavailable(
                f"{self._file.path} was moved or replaced while it was open.",
                hint="Bring the file back, or put the whole of it there.",
            )

    def _stand(self) -> Direction:
        stand = self._writer.stand()
        if stand.finished_at is not None:
            raise Finished(
                f"{self._name}: PostgreSQL is the master for good since"
                f" {stand.finished_at:%Y-%m-%d %H:%M:%S} UTC, nothing is brought back any more."
            )
        if stand.epoch != self._epoch:
            raise DirectionChanged(
                f"{self._file.path} takes rows under epoch {stand.epoch}, not {self._epoch}."
            )
        return stand

    def _bring(self, stand: Direction, batch: QueueBatch) -> Written:
        returned = [self._returning[t.table.source.name].rows(t) for t in batch.tables]
        refused = self._writer.write(
            stand, [each.incoming for each in returned], final=batch.complete, wait=self._wait
        )
        left_behind = [
            *(unfit for each in returned for unfit in each.unfit),
            *(self._returning[each.table].left_behind(each) for each in refused),
        ]
        # Before the entries go: written to a file that was moved away they are not where they
        # belong. They come again, to the file that is there by then.
        self._check_file()
        with self._target.lease() as conn:
            reverse.settle(
                conn,
                self._name,
                batch,
                left_behind,
                epoch=stand.epoch,
                number=stand.batch + 1,
            )
        for each in left_behind:
            log.warning(
                "SQLite cannot hold row %s of table %s: %s.",
                each.key,
                each.name,
                each.reason.rstrip("."),
                extra=fields("left_behind", source=self._name, table=each.name),
            )
        return Written(len(batch.ids), len(left_behind), batch.oldest)

    def drain(self) -> int:
        """Bring batches until the queue is empty; how many entries. For a gate that is closed."""
        entries = 0
        while (written := self.step()) is not None:
            entries += written.entries
        return entries


def _check_shapes(file: SourceFile) -> None:
    """Raise SourceError where a table is not what it was when its rows last went forward."""
    with file.reading():
        captured = [capture.name for capture in stored_captures(file)]
        there = set(introspect.table_names(file))
        found = verify(file, [name for name in captured if name in there])
    changed = [name for name in captured if name not in there]
    changed += [name for name, finding in found.items() if finding in _RESHAPED and name in there]
    if changed:
        raise SourceError(
            f"{file.path}: while PostgreSQL is master, the shape of {', '.join(changed)} was"
            " changed in SQLite, so rows cannot be brought back.",
            hint="Undo that change. What is written to PostgreSQL waits in its queue until then.",
        )
