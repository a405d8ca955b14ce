"""What must hold of a workload: its changelog replays to its tables, and the application sees
nothing of the capture.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from cdc.errors import CdcError, SchemaMoved
from cdc.event import LAYOUT, OP, SEQ, VALUES, Event, Op
from cdc.schema import UndecodableText
from cdc.sqlite import capture, captures, layouts, pace
from cdc.sqlite.changelog import Changelog
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.mirrors import fill_mirrors
from cdc.sqlite.rows import Bound, read_rows
from cdc.sqlite.triggers import mirror_name

from .legacy import CHECK, RAN_AWAY, SETTLE, Legacy, Outcome, Rows, Shown
from .workload import INSTALL, RENEW, Workload

ALL: Final = Bound(seconds=60.0, rows=10**9)

Typed = tuple[str, Any]
Table = dict[tuple[Typed, ...], tuple[Typed, ...]]


@dataclass(frozen=True)
class Divergence:
    """What went wrong, in one line, and the details."""

    what: str
    details: str


@dataclass
class Run:
    """Everything that one run of a workload on one file showed."""

    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    baseline: Shown | None = None
    baseline_at: int = 0
    sound: bool = True
    events: list[Event] = field(default_factory=list)
    names: dict[int, tuple[str, int]] = field(default_factory=dict)
    mirrored: dict[str, Rows] = field(default_factory=dict)

    @property
    def ran_away(self) -> bool:
        return any(outcome.error == RAN_AWAY for _, outcome in self.outcomes)


class Stage:
    """Runs workloads, each in files of its own, and compares."""

    def __init__(self, directory: Path, legacy: Legacy) -> None:
        self.directory = directory
        self.legacy = legacy
        self.counts: Counter[str] = Counter()
        self.quirks: list[tuple[Workload, Divergence]] = []

    def divergence(self, workload: Workload) -> Divergence | None:
        """The first law that the workload breaks, or None."""
        self.counts["workloads"] += 1
        with self._file() as path:
            try:
                captured = self._run(path, workload, _Capture(path, workload))
            except CdcError as error:
                return Divergence("capture failed", f"{type(error).__name__}: {error}")
        if captured.ran_away:
            self.counts["ran away"] += 1
            return None
        self.counts.update(event[OP] for event in captured.events)
        wrong = converges(workload, captured) or mirrors(workload, captured)
        if wrong and captured.sound:
            return wrong
        with self._file() as path:
            twin = self._run(path, workload, _Nothing())
        if not twin.sound:
            # SQLite 3.40 itself damages an index now and then, in upserts with several targets.
            self.counts["damaged without capture"] += 1
            return None
        wrong = wrong or agree(captured, twin)
        if wrong is None:
            return None
        # SQLite itself takes another way through some statements once a table has any trigger that
        # writes; it is then better at undoing what fails half-way, and at foreign keys.
        for body in INERT_BODIES:
            with self._file() as path:
                inert = self._run(path, workload, _Inert(path, workload, self.legacy, body))
            if agree(captured, inert) is None:
                self.counts["differs with any trigger"] += 1
                self.quirks.append((workload, wrong))
                return None
        return wrong

    @contextmanager
    def _file(self) -> Iterator[Path]:
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        path = directory / "legacy.db"
        self.legacy.open(path)
        try:
            yield path
        finally:
            self.legacy.close(path)
            shutil.rmtree(directory)

    def _run(self, path: Path, workload: Workload, guest: "_Nothing") -> Run:
        run = Run()
        looks = workload.looks
        for outcome in self.legacy.run(path, workload.settings):
            if outcome.error:
                raise AssertionError(f"the shape does not exist: {outcome.error}")

        def perform(steps: Iterable[str]) -> None:
            steps = list(steps)
            run.outcomes += zip(steps, self.legacy.run(path, steps, looks), strict=True)

        at = workload.steps.index(INSTALL)
        perform(workload.steps[:at])
        rest = list(workload.steps[at + 1 :])
        gaps = [rest[i : i + 1] for i in range(workload.gaps)]
        guest.install(lambda: perform([*gaps.pop(0), SETTLE] if gaps else []))
        for gap in gaps:
            perform([*gap, SETTLE])
        run.baseline = self.legacy.run(path, [CHECK], looks)[0].shown
        run.baseline_at = len(run.outcomes)
        rest = rest[workload.gaps :]
        while RENEW in rest:
            at = rest.index(RENEW)
            perform(rest[:at])
            guest.renew()
            rest = rest[at + 1 :]
        perform(rest)
        run.sound = self.legacy.run(path, ["PRAGMA integrity_check"])[0].rows == [("ok",)]
        guest.finish(run)
        return run


INERT_BODIES: Final = (
    "INSERT INTO inert VALUES (julianday('now'));",
    "INSERT INTO inert_unique SELECT count(*) FROM inert_unique;",
)


class _Nothing:
    """The twin: nothing is installed."""

    def install(self, gap: Any) -> None:
        """Let the writes happen that happen during an installation."""

    def renew(self) -> None:
        """Put the guest in order, as the daemon does when it sees that the schema has changed."""

    def finish(self, run: Run) -> None:
        """Add what is to be known afterwards."""


class _Inert(_Nothing):
    """Triggers that write to a table nobody reads, from the moment of installation on."""

    def __init__(self, path: Path, workload: Workload, legacy: Legacy, body: str) -> None:
        self.path = path
        self.tables = [look.table.replace('"', '""') for look in workload.looks]
        self.legacy = legacy
        self.body = body

    def install(self, gap: Any) -> None:
        self.legacy.run(
            self.path,
            [
                "CREATE TABLE inert (x)",
                "CREATE TABLE inert_unique (x PRIMARY KEY) WITHOUT ROWID",
            ],
        )
        self.renew()

    def renew(self) -> None:
        for t, table in enumerate(self.tables):
            for event in ("INSERT", "UPDATE", "DELETE"):
                name = f"inert_{t}_{event}"
                self.legacy.run(self.path, [f"DROP TRIGGER IF EXISTS {name}"])
                sql = f'CREATE TRIGGER {name} AFTER {event} ON "{table}" BEGIN {self.body} END'
                self.legacy.run(self.path, [sql])


class _Capture(_Nothing):
    def __init__(self, path: Path, workload: Workload) -> None:
        self.path = path
        self.tables = [look.table for look in workload.looks]

    def install(self, gap: Any) -> None:
        with self._open() as file, mock.patch.object(pace, "STEP_ROWS", 1):
            while not self._installed(file, gap):
                pass

    def renew(self) -> None:
        with self._open() as file:
            capture.install(file, self.tables)

    def finish(self, run: Run) -> None:
        with self._open() as file, file.reading():
            run.events = Changelog(file).read(0, ALL).events
            run.names = {
                layout: (table.name, len(table.columns))
                for layout, table in layouts.read(file).items()
            }
            for captured in captures.captured(file):
                if captured.source.unique_sets:
                    keys = [f"k{i}" for i in range(len(captured.source.table.key))]
                    rest = f"FROM {mirror_name(captured.layout)}"
                    run.mirrored[captured.name] = read_rows(file, keys, rest, (), ALL).rows

    def _installed(self, file: SourceFile, gap: Callable[[], None]) -> bool:
        """Whether nothing has moved the schema meanwhile; else a session begins again, too."""
        capture.install(file, self.tables)
        try:
            fill_mirrors(file, wait=lambda _: gap())
        except SchemaMoved:
            return False
        return True

    @contextmanager
    def _open(self) -> Iterator[SourceFile]:
        with SourceFile(self.path) as file:
            file.query("PRAGMA synchronous = OFF")
            yield file


def typed(value: Any) -> Typed:
    """A value in a form that is equal only for the same storage class and the same bits."""
    if isinstance(value, UndecodableText):
        return ("str", value.decode("utf-8", "surrogateescape"))
    if isinstance(value, float):
        return ("float", value.hex())
    return (type(value).__name__, value)


def identity(values: Iterable[Any]) -> tuple[Typed, ...]:
    """A key as PostgreSQL tells keys apart: by class and by bytes; but -0.0 is 0.0 there, too."""
    return tuple(typed(value + 0.0 if isinstance(value, float) else value) for value in values)


def converges(workload: Workload, run: Run) -> Divergence | None:
    """The log, replayed over the rows that were there at first, gives the tables at each look."""
    assert run.baseline is not None
    keys = workload.keys()
    state: dict[str, Table] = {name: {} for name in keys}
    for name, rows in run.baseline.tables.items():
        state[name] = _by_key(rows, keys[name])
    looks = [o.shown for _, o in run.outcomes[run.baseline_at :] if o.shown]
    events = (event for event in run.events if event[SEQ] > run.baseline.seq)
    pending = next(events, None)
    for shown in looks:
        while pending is not None and pending[SEQ] <= shown.seq:
            name, width = run.names[pending[LAYOUT]]
            _apply(state[name], pending, width, keys[name])
            pending = next(events, None)
        for name, rows in shown.tables.items():
            wanted = _by_key(rows, keys[name])
            if state[name] != wanted:
                return Divergence(
                    "the log does not lead to the table", _difference(name, state[name], wanted)
                )
    return None


def mirrors(workload: Workload, run: Run) -> Divergence | None:
    """In the end each mirror holds the keys that the table holds, and no others."""
    keys = workload.keys()
    last = run.outcomes[-1][1].shown
    assert last is not None
    for name, rows in run.mirrored.items():
        held = [identity(row) for row in rows]
        wanted = _by_key(last.tables[name], keys[name])
        if sorted(held, key=repr) != sorted(wanted, key=repr):
            return Divergence("the mirror is not the table's", f"{name!r}: {held}, not {[*wanted]}")
    return None


def _by_key(rows: Rows, key: list[int]) -> Table:
    # A NULL in a key is no key to PostgreSQL: such rows are quarantined whole.
    found: Table = {}
    for row in rows:
        if all(row[i] is not None for i in key):
            found[identity(row[i] for i in key)] = tuple(map(typed, row))
    return found


def _apply(table: Table, event: Event, width: int, key: list[int]) -> None:
    values = event[VALUES : VALUES + width]
    at = identity(values[i] for i in key)
    if event[OP] in Op.GONE:
        table.pop(at, None)
    elif all(values[i] is not None for i in key):
        table[at] = tuple(map(typed, values))


def _difference(name: str, state: Table, wanted: Table) -> str:
    lines = [f"table {name!r}"]
    lines += [
        f"  {key}: replayed {state.get(key)}, in the table {wanted.get(key)}"
        for key in sorted(state.keys() | wanted.keys(), key=repr)
        if state.get(key) != wanted.get(key)
    ]
    return "\n".join(lines)


def agree(one: Run, other: Run) -> Divergence | None:
    """The application saw the same on both files."""
    vacuumed = None
    for (step, a), (_, b) in zip(one.outcomes, other.outcomes, strict=True):
        # VACUUM leaves the number of objects in the schema as the last inserted rowid.
        if step == "VACUUM":
            vacuumed = (a.last_insert_rowid, b.last_insert_rowid)
        if vacuumed == (a.last_insert_rowid, b.last_insert_rowid):
            b = b._replace(last_insert_rowid=a.last_insert_rowid)  # noqa: PLW2901
        if a._replace(shown=None) != b._replace(shown=None) or repr(a.rows) != repr(b.rows):
            return Divergence(
                "the application sees the capture", f"{step}\n  with: {a}\n  without: {b}"
            )
        if (a.shown is None) != (b.shown is None):
            return Divergence("the application sees the capture", step)
        if a.shown and b.shown and repr(a.shown.tables) != repr(b.shown.tables):
            return Divergence(
                "the tables differ",
                f"{step}\n  with: {a.shown.tables}\n  without: {b.shown.tables}",
            )
    return None
