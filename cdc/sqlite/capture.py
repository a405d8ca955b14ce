"""Installing, verifying and removing the capture of a file's tables."""

import enum
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import apsw
import orjson

from cdc.errors import CaptureRefused
from cdc.event import VALUES
from cdc.schema import Row
from cdc.sqlite import introspect, layouts, log
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import CHANGELOG, OWN_PREFIX, quote
from cdc.sqlite.order import fill_order
from cdc.sqlite.rows import Bound, read_rows
from cdc.sqlite.triggers import CaptureSql, mirror_name, render

MOST_COLUMNS: Final = 2000 - VALUES
"""SQLite's default limit on a table's columns, less the changelog's own."""

STEP_SECONDS: Final = 0.02
"""How long one of many small write transactions of ours may take."""

STEP_ROWS: Final = 200

ONE_ROW: Final = Bound(seconds=STEP_SECONDS, rows=1)

LONGEST_REST_SECONDS: Final = 0.25


class Finding(enum.Enum):
    """What verification finds about the capture of one table."""

    INTACT = "intact"
    OUTDATED = "outdated"  # as installed, by another version of cdc
    NEW = "new"  # never captured
    HOLE = "hole"  # a trigger is missing or altered, or a unique index came or went
    RESHAPED = "reshaped"  # its columns or its key changed
    UNWANTED = "unwanted"  # captured, but dropped from the file or excluded

    @property
    def begins_anew(self) -> bool:
        """Whether a new capture has to begin, and the table to be copied again."""
        return self in (Finding.NEW, Finding.HOLE, Finding.RESHAPED)


@dataclass(frozen=True, slots=True)
class Captured:
    """A table under capture. Its events carry `layout`, which no earlier capture in its log had."""

    source: SourceTable
    layout: int
    log_id: str

    @property
    def id(self) -> str:
        """A name that no other capture of any file has."""
        return f"{self.log_id}/{self.layout}"

    @property
    def name(self) -> str:
        return self.source.name


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row of `_cdc_capture`: the triggers and unique sets are those at installation."""

    layout: int
    name: str
    triggers: dict[str, str]
    unique_sets: str
    mirrored: bool


def verify(file: SourceFile, tables: Iterable[str]) -> dict[str, Finding]:
    """Compare the capture of these tables with what it should be; for use within a transaction.

    Tables that are captured and not among `tables` are found UNWANTED.
    """
    stored = {capture.name: capture for capture in _stored(file)}
    found = {
        name: _judge(file, introspect.source_table(file, name), stored.pop(name, None))
        for name in tables
    }
    return found | dict.fromkeys(stored, Finding.UNWANTED)


def _judge(file: SourceFile, source: SourceTable, stored: _Stored | None) -> Finding:
    if stored is None:
        return Finding.NEW
    if layouts.read(file)[stored.layout] != source.table:
        return Finding.RESHAPED
    if _triggers_of(file, stored) != stored.triggers or stored.unique_sets != _fingerprint(source):
        return Finding.HOLE
    if source.unique_sets and not _has_table(file, mirror_name(stored.layout)):
        return Finding.HOLE
    return (
        Finding.INTACT
        if render(source, stored.layout).triggers == stored.triggers
        else Finding.OUTDATED
    )


def install(
    file: SourceFile,
    tables: list[str],
    *,
    renew: Collection[str] = (),
    wait: Wait = time.sleep,
) -> dict[str, Finding]:
    """Bring the capture of exactly these tables into order, in one short write transaction.

    The captures of the tables in `renew` are taken for holes. Returns what was found before;
    nothing is written where all is intact. The mirrors of new captures are empty yet:
    `fill_mirrors` comes next. Raises CaptureRefused, and leaves the file as it was, where a table
    cannot be captured.
    """
    with file.reading():
        installed = log.read(file) is not None
        found = verify(file, tables) | dict.fromkeys(renew, Finding.HOLE) if installed else {}
    if installed and set(found.values()) <= {Finding.INTACT}:
        return found
    return file.write(lambda: _install(file, tables, renew), wait=wait)


def _install(
    file: SourceFile, tables: list[str], renew: Collection[str]
) -> dict[str, Finding]:
    if log.read(file) is None:
        log.create(file)
    sources = {name: introspect.source_table(file, name) for name in tables}
    _widen(file, max((len(s.table.columns) for s in sources.values()), default=0))
    found = verify(file, tables) | dict.fromkeys(renew, Finding.HOLE)
    stored = {capture.name: capture for capture in _stored(file)}
    for name, finding in found.items():
        if finding is Finding.INTACT:
            continue
        if name in stored:
            _drop_triggers(file, stored[name])
            if finding is not Finding.OUTDATED:
                _end_capture(file, stored[name])
        if finding is Finding.OUTDATED:
            _create(file, sources[name], stored[name].layout, anew=False)
        elif finding.begins_anew:
            _create(file, sources[name], layouts.add(file, sources[name].table), anew=True)
    return found


def _create(file: SourceFile, source: SourceTable, layout: int, *, anew: bool) -> None:
    sql = render(source, layout)
    before = _compiles(file, source)
    _run(file, source, [*(sql.mirror if anew else ()), *sql.triggers.values()])
    for statement, error in _compiles(file, source).items():
        if error and not before[statement]:
            raise CaptureRefused(
                f"With the capture of table {quote(source.name)} of {file.path}, the application's"
                f" {statement} would fail: {error}.",
                hint="Exclude the table in the configuration.",
            )
    triggers = orjson.dumps(_triggers_named(file, sql.triggers)).decode()
    if anew:
        file.query(
            "INSERT INTO _cdc_capture (layout, name, triggers, unique_sets, mirrored)"
            " VALUES (?, ?, ?, ?, ?)",
            (layout, source.name, triggers, _fingerprint(source), int(sql.fill is None)),
        )
    else:
        file.query("UPDATE _cdc_capture SET triggers = ? WHERE layout = ?", (triggers, layout))


def _run(file: SourceFile, source: SourceTable, statements: list[str]) -> None:
    try:
        for statement in statements:
            file.query(statement)
    except apsw.SQLError as error:
        raise CaptureRefused(
            f"Table {quote(source.name)} of {file.path} cannot be captured: {error}.",
            hint="Exclude the table in the configuration.",
        ) from error


def _compiles(file: SourceFile, source: SourceTable) -> dict[str, str]:
    """Compile a statement of each kind, triggers and all; the error of each, "" for none."""
    table = quote(source.name)
    column = next(
        (c for c in source.table.columns if not c.generated and quote(c.name) != c.name), None
    )
    probes = {"INSERT": f"INSERT INTO {table} DEFAULT VALUES", "DELETE": f"DELETE FROM {table}"}
    if column is not None:
        probes["UPDATE"] = f"UPDATE {table} SET {quote(column.name)} = {quote(column.name)}"
    errors = {}
    for kind, statement in probes.items():
        try:
            # Compiled, not fetched: the program may show a text that is not UTF-8.
            file.query(f"EXPLAIN {statement}").close()
            errors[kind] = ""
        except apsw.SQLError as error:
            errors[kind] = str(error)
    return errors


def captured(file: SourceFile) -> list[Captured]:
    """The tables under capture, as they are now; for use within a transaction."""
    own = log.read(file)
    if own is None:
        return []
    return [
        Captured(introspect.source_table(file, capture.name), capture.layout, own.id)
        for capture in _stored(file)
    ]


def fill_mirrors(
    file: SourceFile, *, wait: Wait = time.sleep, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Enter the rows that were there before the capture into the mirrors, in small transactions.

    Before this has ended, a REPLACE may evict a row without an event, so no table is copied
    earlier. Interrupted, it begins again; entries that are there already are left alone.
    """
    with file.reading():
        todo = [c for c in _stored(file) if not c.mirrored]
        sources = {c.layout: introspect.source_table(file, c.name) for c in todo}
    for capture in todo:
        source = sources[capture.layout]
        _MirrorFill(file, source, render(source, capture.layout)).run(wait, stopped)
        if stopped():
            return
        file.write(
            lambda layout=capture.layout: file.query(  # type: ignore[misc]
                "UPDATE _cdc_capture SET mirrored = 1 WHERE layout = ?", (layout,)
            ),
            wait=wait,
        )


class Pace:
    """How large the next of many small write transactions may be, and the pause behind each."""

    def __init__(self) -> None:
        self.rows = STEP_ROWS

    @contextmanager
    def step(self, wait: Wait) -> Iterator[None]:
        """Time one step of `rows` rows, then leave the legacy system up to three times as long."""
        started = time.monotonic()
        yield
        spent = time.monotonic() - started
        self.rows = max(STEP_ROWS, int(self.rows * min(2.0, STEP_SECONDS / max(spent, 1e-4))))
        wait(min(3 * spent, LONGEST_REST_SECONDS))


class _MirrorFill:
    """One walk over a table, as many rows at a time as STEP_SECONDS allow."""

    def __init__(self, file: SourceFile, source: SourceTable, sql: CaptureSql) -> None:
        self.file = file
        self.fill = sql.fill
        self.order = fill_order(source)
        self.table = quote(source.name)

    def run(self, wait: Wait, stopped: Callable[[], bool]) -> None:
        place: Row | None = None
        pace = Pace()
        while not stopped():
            with pace.step(wait):
                step = partial(self._step, place, pace.rows)
                place = self.file.write(step, wait=wait)
            if place is None:
                return

    def _step(self, place: Row | None, rows: int) -> Row | None:
        """Fill in the next `rows` rows; returns the place reached, None at the table's end."""
        after = self.order.after(place)
        # A row without a key has no entry; nothing lies behind a place that is NULL.
        there = " AND ".join(f"{term} IS NOT NULL" for term in self.order.terms)
        found = read_rows(
            self.file,
            self.order.terms,
            f"FROM {self.table} AS _cdc_t WHERE {after} AND {there}"
            f" ORDER BY {self.order.order_by()} LIMIT 1 OFFSET {rows - 1}",
            place or (),
            ONE_ROW,
        ).rows
        end: Row | None = found[0] if found else None
        condition = after if end is None else f"{after} AND {self.order.up_to(end)}"
        self.file.query(f"{self.fill} AND {condition}", (*(place or ()), *(end or ())))
        return end


def uninstall(
    file: SourceFile, tables: list[str] | None = None, *, wait: Wait = time.sleep
) -> list[str]:
    """End the capture of these tables, or of all and remove the log; returns the tables' names.

    The triggers go first, in one short transaction, so the application is rid of us at once; what
    takes space goes in small transactions after that.
    """
    ended = file.write(lambda: _end_captures(file, tables), wait=wait)
    if tables is None:
        for name in _own_tables(file):
            _drop_in_steps(file, name, wait)
    else:
        for capture in ended:
            _drop_in_steps(file, mirror_name(capture.layout), wait)
    return [capture.name for capture in ended]


def _end_captures(file: SourceFile, tables: list[str] | None) -> list[_Stored]:
    if log.read(file) is None:
        return []
    ended = [c for c in _stored(file) if tables is None or c.name in tables]
    for capture in ended:
        _drop_triggers(file, capture)
        file.query("DELETE FROM _cdc_capture WHERE layout = ?", (capture.layout,))
    return ended


def _drop_in_steps(file: SourceFile, table: str, wait: Wait) -> None:
    """Empty a table of ours in small transactions and drop it; large tables are slow to drop."""
    if not _has_table(file, table):
        return
    keys = file.query(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
    key = ", ".join(name for (name,) in keys)
    pace = Pace()
    while key:
        step = f"({key}) IN (SELECT {key} FROM {table} LIMIT {pace.rows})"
        with pace.step(wait):
            sql = f"DELETE FROM {table} WHERE {step} RETURNING 1"
            if not file.write(lambda sql=sql: file.query(sql).fetchall(), wait=wait):  # type: ignore[misc]
                break
    file.write(lambda: file.query(f"DROP TABLE {table}"), wait=wait)


def _stored(file: SourceFile) -> list[_Stored]:
    rows = file.query(
        "SELECT layout, name, triggers, unique_sets, mirrored FROM _cdc_capture ORDER BY layout"
    )
    return [
        _Stored(layout, name, orjson.loads(triggers), unique_sets, bool(mirrored))
        for layout, name, triggers, unique_sets, mirrored in rows
    ]


def _triggers_of(file: SourceFile, stored: _Stored) -> dict[str, str]:
    return _triggers_named(file, stored.triggers)


def _triggers_named(file: SourceFile, names: Iterable[str]) -> dict[str, str]:
    triggers = dict(file.query("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"))
    return {name: triggers[name] for name in names if name in triggers}


def _fingerprint(source: SourceTable) -> str:
    return repr(source.unique_sets)


def _drop_triggers(file: SourceFile, stored: _Stored) -> None:
    for name in stored.triggers:
        file.query(f"DROP TRIGGER IF EXISTS {quote(name)}")


def _end_capture(file: SourceFile, stored: _Stored) -> None:
    file.query(f"DROP TABLE IF EXISTS {mirror_name(stored.layout)}")
    file.query("DELETE FROM _cdc_capture WHERE layout = ?", (stored.layout,))


def _widen(file: SourceFile, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise CaptureRefused(
            f"A table of {file.path} has {columns} columns; at most {MOST_COLUMNS} can be captured.",
            hint="Exclude the table in the configuration.",
        )
    present = len(log.changelog_columns(file)) - VALUES
    for i in range(present, columns):
        file.query(f"ALTER TABLE {CHANGELOG} ADD COLUMN v{i}")


def _has_table(file: SourceFile, name: str) -> bool:
    return bool(
        file.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,)).get
    )


def _own_tables(file: SourceFile) -> list[str]:
    rows = file.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name.startswith(OWN_PREFIX)]
