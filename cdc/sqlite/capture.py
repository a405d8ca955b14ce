"""Installing and removing the capture of a file's tables."""

import time
from collections.abc import Callable, Collection
from typing import Final, NoReturn

import apsw
import orjson

from cdc.errors import CaptureRefused
from cdc.event import VALUES
from cdc.sqlite import direction, freeze, introspect, layouts, log, released
from cdc.sqlite.captures import (
    StoredCapture,
    fingerprint,
    has_table,
    made_triggers,
    stored_captures,
)
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.lineage import Lineage
from cdc.sqlite.names import CHANGELOG, OWN_PREFIX, quote
from cdc.sqlite.pace import Pace
from cdc.sqlite.triggers import mirror_name, render
from cdc.sqlite.verification import Finding, verify

MOST_COLUMNS: Final = 2000 - VALUES
"""SQLite's default limit on a table's columns, less the changelog's own."""


OnRefusal = Callable[[str, CaptureRefused], None]
"""Told of a table that cannot be captured; raises, or goes on without it."""


def _raise(_: str, error: CaptureRefused) -> NoReturn:
    raise error


def install(
    file: SourceFile,
    tables: list[str],
    *,
    renew: Collection[str] = (),
    read_to: int | None = None,
    on_refusal: OnRefusal = _raise,
    wait: Wait = time.sleep,
) -> dict[str, Finding]:
    """Bring the capture of exactly these tables into order, in one short write transaction.

    The captures of the tables in `renew` are taken for holes. `read_to` is the last event that was
    read while the captures were known to be whole. Returns what was found before;
    nothing is written where all is intact. The mirrors of new captures are empty yet:
    `fill_mirrors` comes next. A table that cannot be captured is REFUSED, and has no capture
    afterwards; where `on_refusal` raises, the file is left as it was. Raises SchemaMoved where one
    of the tables is gone by now.
    """
    with file.reading():
        installed = log.read(file) is not None
        found = _findings(file, tables, renew) if installed else {}
    if installed and set(found.values()) <= {Finding.INTACT}:
        return found
    return file.write(lambda: _install(file, tables, renew, read_to, on_refusal), wait=wait)


def _install(
    file: SourceFile,
    tables: list[str],
    renew: Collection[str],
    read_to: int | None,
    on_refusal: OnRefusal,
) -> dict[str, Finding]:
    if log.read(file) is None:
        log.create(file)
    found = _findings(file, tables, renew)
    stored = {capture.name: capture for capture in stored_captures(file)}
    lineage = Lineage(file, list(stored.values()), layouts.read(file))
    for name, finding in found.items():
        if name in stored and finding is not Finding.INTACT:
            _drop_triggers(file, stored[name])
            if finding is not Finding.OUTDATED:
                _end_capture(file, stored[name], read_to)
    wanted = [name for name in tables if found[name] is not Finding.INTACT]
    # Before anything is made: what comes now changes nothing about the application's tables.
    with file.at_rest():
        sources = {name: _introspected(file, name) for name in wanted}
    for name, source in sources.items():
        outdated = stored[name].layout if found[name] is Finding.OUTDATED else None
        try:
            if isinstance(source, CaptureRefused):
                raise source
            _capture(file, source, lineage, outdated, read_to)
        except CaptureRefused as error:
            on_refusal(name, error)
            found[name] = Finding.REFUSED
            if name in stored:
                _end_capture(file, stored[name], read_to)
    return found


def _introspected(file: SourceFile, name: str) -> SourceTable | CaptureRefused:
    try:
        return introspect.source_table(file, name)
    except CaptureRefused as refused:
        return refused


def _findings(file: SourceFile, tables: list[str], renew: Collection[str]) -> dict[str, Finding]:
    found = verify(file, tables)
    return found | {
        name: Finding.HOLE
        for name in renew
        if found.get(name) in (Finding.INTACT, Finding.OUTDATED)
    }


def _capture(
    file: SourceFile,
    source: SourceTable,
    lineage: Lineage,
    outdated: int | None,
    read_to: int | None,
) -> None:
    """Capture a table anew, or under its `outdated` layout; leave nothing of it when that fails.

    Raises CaptureRefused.
    """
    file.query("SAVEPOINT _cdc_begin")
    try:
        if outdated is not None:
            _create(file, source, outdated, anew=False)
        else:
            _widen(file, source)
            layout = layouts.add(file, _record(file, source, lineage, read_to))
            _create(file, source, layout, anew=True)
    except CaptureRefused:
        file.query("ROLLBACK TO _cdc_begin")
        raise
    finally:
        file.query("RELEASE _cdc_begin")


def _record(
    file: SourceFile, source: SourceTable, lineage: Lineage, read_to: int | None
) -> layouts.Record:
    name = source.name
    ddl = introspect.statements(file, name)
    has_rows = file.query(f"SELECT EXISTS (SELECT 1 FROM {quote(name)})").get
    span = layouts.Span(log.end(file).seq, empty=not has_rows, sure_before=read_to)
    ancestors = lineage.ancestors(source.table)
    return layouts.Record(source.table, ancestors, span, ddl)


def _create(file: SourceFile, source: SourceTable, layout: int, *, anew: bool) -> None:
    sql = render(source, layout)
    before = _compiles(file, source)
    _run(file, source, [*(sql.mirror if anew else ()), *sql.triggers.values()])
    if sql.fill is not None:
        # An index may compute with a function that only the application defines.
        _run(file, source, [f"EXPLAIN {sql.fill}"])
    for statement, error in _compiles(file, source).items():
        if error and not before[statement]:
            raise CaptureRefused(
                f"With the capture of table {quote(source.name)} of {file.path}, the application's"
                f" {statement} would fail: {error}.",
                hint="Exclude the table in the configuration.",
            )
    triggers = orjson.dumps(made_triggers(file, sql.triggers)).decode()
    if anew:
        file.query(
            "INSERT INTO _cdc_capture (layout, name, triggers, unique_sets, mirrored)"
            " VALUES (?, ?, ?, ?, ?)",
            (layout, source.name, triggers, fingerprint(source), int(sql.fill is None)),
        )
    else:
        file.query("UPDATE _cdc_capture SET triggers = ? WHERE layout = ?", (triggers, layout))


def _run(file: SourceFile, source: SourceTable, statements: list[str]) -> None:
    try:
        for statement in statements:
            file.query(statement).close()
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


def uninstall(
    file: SourceFile, tables: list[str] | None = None, *, wait: Wait = time.sleep
) -> list[str]:
    """End the capture of these tables, or of all and remove the log; returns the tables' names.

    Single tables are released: a daemon leaves them alone until `retake`. This may be done beside
    a running daemon; to remove the log needs the source's lock. The triggers go first, in one
    short transaction, so the application is rid of us at once; what takes space goes in small
    transactions after that.
    """
    ended = file.write(lambda: _end_captures(file, tables), wait=wait)
    if tables is None:
        for name in _own_tables(file):
            _drop_in_steps(file, name, wait)
    else:
        for capture in ended:
            _drop_in_steps(file, mirror_name(capture.layout), wait)
    return [capture.name for capture in ended]


def retake(file: SourceFile, table: str, *, wait: Wait = time.sleep) -> bool:
    """Let a table that `uninstall` has released be captured again; whether it was released."""
    return file.write(lambda: released.discard(file, table), wait=wait)


def _end_captures(file: SourceFile, tables: list[str] | None) -> list[StoredCapture]:
    if log.read(file) is None:
        return []
    stand = direction.read(file)
    if stand is None or stand.finished_at is None:  # what has come to its end may be cleared away
        direction.refuse_way_back(file, "to end its capture")
    if tables is None:
        freeze.lift(file)
    else:
        released.add(file, tables)
    ended = [c for c in stored_captures(file) if tables is None or c.name in tables]
    for capture in ended:
        _drop_triggers(file, capture)
        freeze.release(file, capture.name)
        _forget(file, capture, None)
    return ended


def _drop_in_steps(file: SourceFile, table: str, wait: Wait) -> None:
    """Empty a table of ours in small transactions and drop it; large tables are slow to drop."""
    if not has_table(file, table):
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


def _drop_triggers(file: SourceFile, stored: StoredCapture) -> None:
    for name in stored.triggers:
        file.query(f"DROP TRIGGER IF EXISTS {quote(name)}")


def _end_capture(file: SourceFile, stored: StoredCapture, read_to: int | None) -> None:
    file.query(f"DROP TABLE IF EXISTS {mirror_name(stored.layout)}")
    _forget(file, stored, read_to)


def _forget(file: SourceFile, stored: StoredCapture, read_to: int | None) -> None:
    layouts.end(file, stored.layout, ended=log.end(file).seq, sure=read_to)
    file.query("DELETE FROM _cdc_capture WHERE layout = ?", (stored.layout,))


def _widen(file: SourceFile, source: SourceTable) -> None:
    columns = len(source.table.columns)
    if columns > MOST_COLUMNS:
        raise CaptureRefused(
            f"Table {quote(source.name)} of {file.path} has {columns} columns; at most"
            f" {MOST_COLUMNS} can be captured.",
            hint="Exclude the table in the configuration.",
        )
    present = len(log.changelog_columns(file)) - VALUES
    for i in range(present, columns):
        file.query(f"ALTER TABLE {CHANGELOG} ADD COLUMN v{i}")


def _own_tables(file: SourceFile) -> list[str]:
    rows = file.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name.startswith(OWN_PREFIX)]
