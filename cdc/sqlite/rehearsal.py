"""Would the capture of a table be refused? Tried on a copy of the schema without its rows."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import apsw

from cdc.errors import CaptureRefused
from cdc.sqlite import capture
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.names import is_own, quote

HINT: Final = "Exclude the table in the configuration."


def refusals(file: SourceFile, tables: list[str]) -> dict[str, CaptureRefused]:
    """Why each of these tables could not be captured; those that could are left out.

    The whole schema is copied: whether a statement with our triggers still compiles depends on the
    application's own triggers and indexes, too.
    """
    with file.reading():
        schema = file.query(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
            " ORDER BY type <> 'table', type <> 'index', rowid"
        ).fetchall()
    with TemporaryDirectory(prefix="cdc-plan-") as folder:
        path = Path(folder) / "schema.db"
        refused = _copy_schema(path, schema)
        with SourceFile(path) as copy:
            refused |= _try_capture(copy, [name for name in tables if name not in refused])
    return {
        # The message names the copy.
        name: CaptureRefused(refused[name].replace(str(path), str(file.path)), hint=HINT)
        for name in tables
        if name in refused
    }


def _try_capture(copy: SourceFile, tables: list[str]) -> dict[str, str]:
    """The messages of the tables that are refused."""
    refused: dict[str, str] = {}
    try:
        capture.install(copy, tables)
    except CaptureRefused:
        for name in tables:
            try:
                capture.install(copy, [name])
            except CaptureRefused as error:
                refused[name] = str(error)
    return refused


def _copy_schema(path: Path, schema: list[tuple[Any, ...]]) -> dict[str, str]:
    """Make every object in an empty file; why a table, or a unique index of it, cannot be made."""
    failed = {}
    copy = apsw.Connection(str(path))
    try:
        for kind, name, table, sql in schema:
            if is_own(name) or name.lower().startswith("sqlite_"):
                continue
            try:
                copy.execute(sql)
            except apsw.Error as error:
                if kind == "table" or (kind == "index" and "UNIQUE" in sql.upper()):
                    failed[table] = f"Table {quote(table)} of {path} cannot be captured: {error}."
    finally:
        copy.close()
    return failed
