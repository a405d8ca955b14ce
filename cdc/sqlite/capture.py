"""Installing and removing the capture of a file's tables."""

import time
from collections.abc import Collection
from typing import Final

import apsw
import orjson

from cdc.errors import CaptureRefused
from cdc.event import VALUES
from cdc.sqlite import introspect, layouts, log
from cdc.sqlite.captures import (
    StoredCapture,
    fingerprint,
    has_table,
    stored_captures,
    triggers_named,
)
from cdc.sqlite.connection import SourceFile, Wait
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.names import CHANGELOG, OWN_PREFIX, quote
from cdc.sqlite.pace import Pace
from cdc.sqlite.triggers import mirror_name, render
from cdc.sqlite.verification import Finding, verify

MOST_COLUMNS: Final = 2000 - VALUES
"""SQLite's default limit on a table's columns, less the changelog's own."""


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


def _install(file: SourceFile, tables: list[str], renew: Collection[str]) -> dict[str, Finding]:
    if log.read(file) is None:
        log.create(file)
    sources = {name: introspect.source_table(file, name) for name in tables}
    _widen(file, max((len(s.table.columns) for s in sources.values()), default=0))
    found = verify(file, tables) | dict.fromkeys(renew, Finding.HOLE)
    stored = {capture.name: capture for capture in stored_captures(file)}
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
    triggers = orjson.dumps(triggers_named(file, sql.triggers)).decode()
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


def _end_captures(file: SourceFile, tables: list[str] | None) -> list[StoredCapture]:
    if log.read(file) is None:
        return []
    ended = [c for c in stored_captures(file) if tables is None or c.name in tables]
    for capture in ended:
        _drop_triggers(file, capture)
        file.query("DELETE FROM _cdc_capture WHERE layout = ?", (capture.layout,))
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


def _end_capture(file: SourceFile, stored: StoredCapture) -> None:
    file.query(f"DROP TABLE IF EXISTS {mirror_name(stored.layout)}")
    file.query("DELETE FROM _cdc_capture WHERE layout = ?", (stored.layout,))


def _widen(file: SourceFile, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise CaptureRefused(
            f"A table of {file.path} has {columns} columns; {MOST_COLUMNS} can be captured.",
            hint="Exclude the table in the configuration.",
        )
    present = len(log.changelog_columns(file)) - VALUES
    for i in range(present, columns):
        file.query(f"ALTER TABLE {CHANGELOG} ADD COLUMN v{i}")


def _own_tables(file: SourceFile) -> list[str]:
    rows = file.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name.startswith(OWN_PREFIX)]
