"""What a file held at committed boundaries, written down there; and what a replay makes."""

from pathlib import Path

from cdc.config import Config, SourceConfig
from cdc.errors import SourceBusy, StateNotKept
from cdc.rebuild.into_file import FileDestination
from cdc.rebuild.replaying import ReplayProgress, replay
from cdc.replay.goal import Until, find_goal
from cdc.replay.plan import make_plan
from cdc.replay.store import open_store
from cdc.sqlite import introspect
from cdc.sqlite.captures import captured
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.rows import Bound
from cdc.sqlite.walk import TableWalk
from cdc.stop import Stop

ALL = Bound(seconds=10.0, rows=1_000_000)


class Points:
    """The states of all captured tables of a file, by the newest event of each.

    There may be several at one event: what no event tells can have come between them.
    """

    def __init__(self) -> None:
        self.states: dict[int, list[dict[str, list[str]]]] = {}

    def note(self, path: Path) -> int | None:
        """Write down what is there now; the newest event, None where somebody kept us out."""
        try:
            with SourceFile(path) as file, file.reading():
                seq = Changelog(file).newest()
                tables = [each.source for each in captured(file)]
                seen = {t.name: _rows(file, t) for t in tables}
                if seen not in self.states.setdefault(seq, []):
                    self.states[seq].append(seen)
                return seq
        except SourceBusy:
            return None


def rows_of(path: Path, table: str) -> list[str]:
    """All rows of a table, exact, in no order."""
    with SourceFile(path, only_look=True) as file, file.reading():
        return _rows(file, introspect.source_table(file, table))


def _rows(file: SourceFile, source: introspect.SourceTable) -> list[str]:
    """But for those whose key is NULL, which no event tells apart."""
    rows = TableWalk(file, source).read(None, ALL).rows
    return sorted(repr(row) for row in rows if all(row[at] is not None for at in source.table.key))


def rebuilt(
    config: Config, source: SourceConfig, seq: int, path: Path
) -> dict[str, list[str]] | StateNotKept:
    """The tables of a SQLite file that is replayed to an event, or why that cannot be."""
    with open_store(config, source) as store:
        try:
            plan = make_plan(store, find_goal(store, Until(seq=seq), lambda _: None))
        except StateNotKept as error:
            return error
        destination = FileDestination(path, store)
        try:
            plan = replay(store, plan, destination, ReplayProgress(source.name), stop=Stop())
            destination.finish()
        finally:
            destination.close()
        names = [table.name for table in plan.tables]
    return {name: rows_of(path, name) for name in names}
