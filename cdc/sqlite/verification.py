"""Whether what captures each table is there, unaltered, and what it should be."""

import enum
from collections.abc import Iterable

from cdc.errors import CaptureRefused
from cdc.schema import Table
from cdc.sqlite import introspect, layouts
from cdc.sqlite.captures import (
    Breathe,
    StoredCapture,
    fingerprint,
    has_table,
    stored_captures,
    triggers_named,
)
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable
from cdc.sqlite.lineage import Lineage
from cdc.sqlite.names import is_own
from cdc.sqlite.triggers import mirror_name, render


class Finding(enum.Enum):
    """What verification finds about the capture of one table."""

    INTACT = "intact"
    OUTDATED = "outdated"  # as installed, by another version of cdc or before a newer trigger
    NEW = "new"  # never captured
    RENAMED = "renamed"  # captured under another name
    HOLE = "hole"  # a trigger is missing or altered, or a unique index came or went
    RESHAPED = "reshaped"  # its columns or its key changed
    REFUSED = "refused"  # it cannot be captured
    UNWANTED = "unwanted"  # captured, but dropped from the file, excluded or released

    @property
    def begins_anew(self) -> bool:
        """Whether a new capture has to begin, and the table to be copied again."""
        return self in (Finding.NEW, Finding.RENAMED, Finding.HOLE, Finding.RESHAPED)


def verify(
    file: SourceFile, tables: Iterable[str], *, breathe: Breathe = lambda: None
) -> dict[str, Finding]:
    """Compare the capture of these tables with what it should be; for use within a transaction.

    Tables that are captured and not among `tables` are found UNWANTED. `breathe` is called between
    two tables: with many it takes longer than a lock may be held.
    """
    with file.at_rest():
        captures = stored_captures(file)
        stored = {capture.name: capture for capture in captures}
        known = layouts.read(file)
        lineage = Lineage(file, captures, known)
        found = {}
        for name in tables:
            breathe()
            capture = stored.pop(name, None)
            try:
                source = introspect.source_table(file, name)
            except CaptureRefused:
                found[name] = Finding.REFUSED
                continue
            if lineage.renamed(name):
                found[name] = Finding.RENAMED
            elif capture is None:
                found[name] = Finding.NEW
            else:
                found[name] = _judge(file, source, capture, known[capture.layout])
    return found | dict.fromkeys(stored, Finding.UNWANTED)


def _judge(file: SourceFile, source: SourceTable, stored: StoredCapture, known: Table) -> Finding:
    if known != source.table:
        return Finding.RESHAPED
    if triggers_named(
        file, stored.triggers
    ) != stored.triggers or stored.unique_sets != fingerprint(source):
        return Finding.HOLE
    if source.unique_sets and not has_table(file, mirror_name(stored.layout)):
        return Finding.HOLE
    as_rendered = render(source, stored.layout).triggers == stored.triggers
    return Finding.INTACT if as_rendered and _run_first(file, stored) else Finding.OUTDATED


def _run_first(file: SourceFile, stored: StoredCapture) -> bool:
    """Whether these triggers run before the application's own on the same tables.

    SQLite runs the newest trigger first. One of the application's that runs before ours and ends
    its statement by RAISE(FAIL) or RAISE(IGNORE) would keep the change without an event.
    """
    ours, others = file.once(_ages)
    places = (ours[name] for name in stored.triggers if name in ours)
    return all(others.get(table, 0) < age for table, age in places)


def _ages(file: SourceFile) -> tuple[dict[str, tuple[str, int]], dict[str, int]]:
    """The table and the age of each trigger of ours, by name, and the age of the newest one of the
    application's, by table.
    """
    ours: dict[str, tuple[str, int]] = {}
    others: dict[str, int] = {}
    for name, table, age in file.query(
        "SELECT name, lower(tbl_name), rowid FROM sqlite_schema WHERE type = 'trigger'"
    ):
        if is_own(name):
            ours[name] = (table, age)
        else:
            others[table] = max(age, others.get(table, age))
    return ours, others
