"""Events that a file does not hold any more, for a target that lacks them: out of the event store.

That is so after PostgreSQL was restored from a backup: its position went back with its rows, and
the file was pruned since.
"""

import logging
from collections.abc import Iterator
from typing import Final, Self

from cdc.archive.reader import Archive, ArchivedEvent, open_archive
from cdc.config import Config, SourceConfig
from cdc.errors import SourceReplaced
from cdc.event import AT, SEQ, digest
from cdc.logs import fields
from cdc.postgres import hold_back, state
from cdc.postgres.connection import Connection
from cdc.sqlite import log as changelogs
from cdc.sqlite.changelog import Changelog, Events
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.rows import READ_BYTES

log = logging.getLogger(__name__)

RESTORED_HINT: Final = (
    "Put the archive's files back (see cdc archive status). Without them, run cdc uninstall and"
    " then cdc install for this source: the next cdc run copies it again from the start."
)


class Past:
    """The archived events up to and with `end`, the oldest one that the file still holds."""

    def __init__(self, archive: Archive, end: int) -> None:
        self.end = end
        self._archive = archive
        self._next = 0
        self._events: Iterator[ArchivedEvent] = iter(())

    @classmethod
    def of(
        cls,
        conn: Connection,
        config: Config,
        source: SourceConfig,
        file: SourceFile,
        known: state.Source | None,
    ) -> Self | None:
        """What a target needs that stands before the file's oldest event; None where none does.

        Raises SourceReplaced where the archive does not hold it either, and ArchiveError where it
        cannot be read.
        """
        with file.reading():
            own = changelogs.read(file)
            first = Changelog(file).first() if own else 0
        if known is None or own is None or own.id != known.log_id:
            return None
        if known.applied_seq >= first or first == 1:
            return None
        archive = open_archive(config.archive_directory, source.name, own.id)
        seq = known.applied_seq
        if archive.last_seq < first or archive.first_seq > seq + 1 or not _holds(archive, known):
            raise SourceReplaced(
                f"PostgreSQL stands at event {seq} of {source.path}, whose log begins at event"
                f" {first}; the archive does not hold all that lies between.",
                hint=RESTORED_HINT,
            )
        log.warning(
            "PostgreSQL stands at event %d, as after a restore from a backup; the events up to %d"
            " come from the archive.",
            seq,
            first,
            extra=fields("from_archive", source=source.name, seq=seq, up_to=first),
        )
        hold_back.give_up(conn, source.name, first - 1)  # the restored database does not know of it
        return cls(archive, first)

    def lies_behind(self, seq: int) -> bool:
        """Whether the events behind `seq` have to come from here."""
        return seq < self.end

    def read(self, after: int, most: int, up_to: int | None) -> Events:
        """The events behind `after`, up to and with `up_to` or `end`: at most that many."""
        if after + 1 != self._next:
            self._events = self._archive.events(after, self.end)
        found, size = [], 0
        for each in self._events:
            found.append(each.event)
            size += sum(len(v) for v in each.event if isinstance(v, (str, bytes)))
            if len(found) >= most or size >= READ_BYTES or each.seq == up_to:
                break
        self._next = found[-1][SEQ] + 1 if found else 0
        complete = bool(found) and found[-1][SEQ] == up_to
        oldest_at = found[0][AT] if found else None
        return Events(found, complete, size, len(found), oldest_at)


def _holds(archive: Archive, known: state.Source) -> bool:
    """Whether the event that was applied last is in the archive under its number."""
    seq = known.applied_seq
    if seq < archive.first_seq:  # it is the one right before
        return seq == 0
    found = next(archive.events(seq - 1, seq), None)
    return found is not None and digest(found.event) == known.applied_digest
