"""The identity of a file's changelog: which log it is, which target it feeds, where it stands."""

import secrets
from dataclasses import dataclass
from typing import Final

from cdc import event
from cdc.errors import SourceReplaced
from cdc.resources import load_sql
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import CHANGELOG
from cdc.sqlite.rows import Bound, read_rows

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Log:
    """A file's log: its random `id`, its format, and the id of the target it feeds, if any yet."""

    id: str
    format: int
    target: str | None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a log: all events up to `seq` lie behind it; `digest` is of the event at `seq`.

    A log without events is at seq 0 with the digest b"". `at` is that event's time.
    """

    seq: int
    digest: bytes
    at: float | None = None


def read(file: SourceFile) -> Log | None:
    """The file's log, or None where capture was never installed."""
    if not file.query("SELECT 1 FROM sqlite_schema WHERE name = '_cdc_log'").get:
        return None
    row = file.query("SELECT id, format, target FROM _cdc_log").fetchone()
    if row is None:
        raise SourceReplaced(
            f"The log of {file.path} has lost its identity.",
            hint="Run cdc uninstall and cdc install for this source; it will be copied again.",
        )
    if row[1] > FORMAT:
        raise SourceReplaced(
            f"The log of {file.path} has format {row[1]}; this version of cdc knows {FORMAT}.",
            hint="Use the version of cdc that installed the capture, or a later one.",
        )
    return Log(*row)


def create(file: SourceFile) -> None:
    """Create the tables of the log, within a write transaction."""
    file.query(load_sql("sqlite/changelog.sql")).fetchall()
    file.query(
        "INSERT INTO _cdc_log (id, format, created_at) VALUES (?, ?, julianday('now'))",
        (secrets.token_hex(16), FORMAT),
    )


def claim(file: SourceFile, target: str) -> None:
    """Make the file remember the one target that it feeds. The log must not feed another yet."""
    file.write(lambda: file.query("UPDATE _cdc_log SET target = ?", (target,)).fetchall())


def end(file: SourceFile) -> Position:
    """The position of the newest event."""
    rows = _events(file, "ORDER BY seq DESC", ())
    if not rows:
        return Position(0, b"")
    return Position(rows[0][event.SEQ], event.digest(rows[0]), rows[0][event.AT])


def _events(file: SourceFile, rest: str, bindings: tuple[int, ...]) -> list[event.Event]:
    one = Bound(seconds=1.0, rows=1)
    return read_rows(file, changelog_columns(file), f"FROM {CHANGELOG} {rest}", bindings, one).rows


def changelog_columns(file: SourceFile) -> tuple[str, ...]:
    """The columns of the changelog, in the order of an event."""
    return tuple(n for (n,) in file.query(f"SELECT name FROM pragma_table_info('{CHANGELOG}')"))


def check_continues(file: SourceFile, position: Position) -> None:
    """Raise SourceReplaced unless the log still holds the very event that was applied last."""
    if position.seq == 0:
        return
    newest = end(file).seq
    if newest < position.seq:
        raise SourceReplaced(
            f"The log of {file.path} ends at event {newest}, but event {position.seq} was applied"
            " already: the file is older than the target, as after a restore from a backup.",
            hint=COPY_AGAIN_HINT,
        )
    rows = _events(file, "WHERE seq = ?", (position.seq,))
    if not rows or event.digest(rows[0]) != position.digest:
        raise SourceReplaced(
            f"Event {position.seq} of {file.path} is not the event that was applied under this"
            " number: the file is a copy that has gone its own way.",
            hint=COPY_AGAIN_HINT,
        )


COPY_AGAIN_HINT: Final = (
    "Bring the right file back. If this file is the right one now, run cdc uninstall and then"
    " cdc install for this source: the next cdc run copies it again from the start."
)
