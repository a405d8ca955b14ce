"""Everything that can go wrong, as one tree.

    CdcError
    ├── ConfigError              the configuration is wrong                       exit 2
    ├── Finished                 PostgreSQL is master for good: nothing goes on   exit 1
    ├── SourceError              a SQLite file could not be used                  exit 3
    │   ├── SourceUnavailable    it is missing, unreadable or no database
    │   ├── SourceBusy           its lock could not be had in time
    │   ├── SourceHeld           another daemon holds it
    │   ├── SourceReplaced       it is not the file that was replicated so far
    │   ├── SchemaMoved          its schema changed while it was looked at
    │   ├── TableGone            a captured table is not in it any more
    │   ├── CaptureRefused       a table cannot be captured faithfully
    │   ├── DirectionChanged     it is not the way back any more that rows were to go
    │   ├── HoldEnded            files are not held still any more
    │   └── SealIncomplete       some files were sealed, and others could not be
    ├── StateNotKept             the event store cannot tell the state asked for  exit 1
    ├── ReplayStopped            a replay was stopped before its end              exit 1
    ├── DestinationTaken         a replay would meet what others put there        exit 2
    ├── ArchiveError             the event store could not be used                exit 3
    │   └── ArchiveDamaged       a segment of it is missing, or not what was written
    ├── BackupError              a backup could not be made, or be restored       exit 3
    │   └── BackupDamaged        a file of it is missing, or not what was written
    └── TargetError              PostgreSQL could not be used                     exit 3
        ├── TargetUnavailable    no answer; the same call may succeed later
        ├── TargetRefused        it answered no; trying again will not help
        │   ├── GateMoved        the gate is not as it was, or as it has to be
        │   ├── GateHeld         transactions that write kept the gate as it is for too long
        │   ├── QuarantineFull   more rows do not fit than an accident explains
        │   └── UniqueConflict   two rows share values that a unique index keeps apart
        ├── PositionMoved        somebody else advanced the position meanwhile
        └── ValueDoesNotFit      a value has no faithful form in its target column

Each error says what happened in its message, and what to do about it in `hint`.
"""

from typing import ClassVar


class CdcError(Exception):
    """Base of all errors that are meant for the operator.

    `hint` is a sentence that says what to do next, or "" where the message already does.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def line(self) -> str:
        """Message and hint on one line, for a log.

        >>> CdcError("The file is gone.", hint="Bring it back.").line
        'The file is gone. → Bring it back.'
        """
        return f"{self} → {self.hint}" if self.hint else str(self)


class ConfigError(CdcError):
    """The configuration, or the command line, asks for something that is not there."""

    exit_code = 2


class Finished(CdcError):
    """The migration has come to its end: PostgreSQL is master for good, and nothing goes on."""

    exit_code = 1


class SourceError(CdcError):
    """A SQLite file could not be used."""


class SourceUnavailable(SourceError):
    """The file is missing, unreadable, or not a database; it may come back."""


class SourceBusy(SourceError):
    """The legacy system kept the file locked for longer than we were willing to wait."""


class SourceHeld(SourceError):
    """Another process holds the source's lock."""


class SourceReplaced(SourceError):
    """The file's changelog does not continue the position that the target has reached."""


class SchemaMoved(SourceError):
    """The file's schema changed while it was being looked at; look again."""


class TableGone(SourceError):
    """A captured table is gone from its file, and nobody has said what becomes of its target."""


class CaptureRefused(SourceError):
    """A table cannot be captured without losing something or harming the application."""


class StateNotKept(CdcError):
    """The event store cannot tell the state that is asked for; the hint names one that it can."""

    exit_code = 1


class ReplayStopped(CdcError):
    """A replay was asked to stop; the same command goes on from there."""

    exit_code = 1


class DestinationTaken(CdcError):
    """What a replay is to make is there already, and it is not a part of it."""

    exit_code = 2


class ArchiveError(CdcError):
    """The event store could not be read or written."""


class ArchiveDamaged(ArchiveError):
    """A segment of the event store is missing, or is not what was written."""


class SegmentGone(ArchiveError):
    """A file of the event store went while it was looked at: the oldest do, by and by."""


class BackupError(CdcError):
    """A backup could not be made, or not be restored where it was to go."""


class BackupDamaged(BackupError):
    """A file of a backup is missing, or is not what was written."""


class DirectionChanged(SourceError):
    """The file takes rows from PostgreSQL no more, or others than those that were made ready."""


class HoldEnded(SourceError):
    """Files that were to be held still for a moment are not any more; nothing was written."""


class SealIncomplete(SourceError):
    """Some files refuse writes now, and others could not be made to: thaw those that do."""


class TargetError(CdcError):
    """PostgreSQL could not be used."""


class TargetUnavailable(TargetError):
    """PostgreSQL did not answer. Nothing is known to have been written; try again later."""


class TargetRefused(TargetError):
    """PostgreSQL answered that it will not; the same request would be refused again."""


class PositionMoved(TargetError):
    """The position in the target is not the one that a batch started from: read it again."""


class GateMoved(TargetRefused):
    """The gate was turned meanwhile, or stands as it was to be turned: look who is master now."""


class RelationGone(TargetRefused):
    """A table in PostgreSQL is not there any more: somebody has dropped or renamed it."""


class GateHeld(TargetRefused):
    """Open transactions that have written kept the gate from being turned in time."""


class QuarantineFull(TargetRefused):
    """So many rows do not fit their target tables that the mapping is at fault, not the rows."""


class UniqueConflict(TargetRefused):
    """Rows would share the values of a unique index: at this moment, or by its sense in the target.

    `index` is the name of the index.
    """

    def __init__(self, message: str, *, index: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.index = index


class ValueDoesNotFit(TargetError):
    """A value from SQLite has no faithful form in the column that it is mapped to."""
