"""The captures that a file records: which tables, since which layout, with which triggers."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import orjson

from cdc.sqlite import introspect, layouts, log
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.introspect import SourceTable

Breathe = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Forebear:
    """An earlier capture (`id`) that one goes on from, and what each of its columns was called
    then, None where there was none.
    """

    id: str
    columns: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Captured:
    """A table under capture. Its events carry `layout`, which no earlier capture in its log had.

    `forebears` are the earlier captures that it goes on from, nearer ones first.
    """

    source: SourceTable
    layout: int
    log_id: str
    forebears: tuple[Forebear, ...] = ()

    @property
    def id(self) -> str:
        """A name that no other capture of any file has."""
        return _id(self.log_id, self.layout)

    @property
    def name(self) -> str:
        return self.source.name


@dataclass(frozen=True, slots=True)
class StoredCapture:
    """A row of `_cdc_capture`: the triggers and unique sets are those at installation."""

    layout: int
    name: str
    triggers: dict[str, str]
    unique_sets: str
    mirrored: bool


def _id(log_id: str, layout: int) -> str:
    return f"{log_id}/{layout}"


def _forebears(file: SourceFile, log_id: str, layout: int) -> Iterator[Forebear]:
    shapes = file.once(layouts.read)
    for ancestor in layouts.read_ancestors(file, layout):
        before = shapes[ancestor.layout].columns
        names = tuple(None if i is None else before[i].name for i in ancestor.columns)
        yield Forebear(_id(log_id, ancestor.layout), names)


def captured(
    file: SourceFile, names: Collection[str] | None = None, *, breathe: Breathe = lambda: None
) -> list[Captured]:
    """The tables under capture, or those of them in `names`, as they are now; for use within a
    transaction. Raises SchemaMoved where one of them is gone.

    `breathe` is called between two tables: with many it takes longer than a lock may be held.
    """
    own = log.read(file)
    if own is None:
        return []
    found = []
    with file.at_rest():
        for capture in stored_captures(file):
            if names is not None and capture.name not in names:
                continue
            source = introspect.source_table(file, capture.name)
            forebears = tuple(_forebears(file, own.id, capture.layout))
            found.append(Captured(source, capture.layout, own.id, forebears))
            breathe()
    return found


def stored_captures(file: SourceFile) -> list[StoredCapture]:
    """Every row of `_cdc_capture`, oldest first."""
    rows = file.query(
        "SELECT layout, name, triggers, unique_sets, mirrored FROM _cdc_capture ORDER BY layout"
    )
    return [
        StoredCapture(layout, name, orjson.loads(triggers), unique_sets, bool(mirrored))
        for layout, name, triggers, unique_sets, mirrored in rows
    ]


def triggers_named(file: SourceFile, names: Iterable[str]) -> dict[str, str]:
    """The text of those triggers among these that there are."""
    there = file.once(triggers)
    return {name: there[name][1] for name in names if name in there}


def made_triggers(file: SourceFile, names: Iterable[str]) -> dict[str, str]:
    """The same, while triggers are being made."""
    rows = file.query(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        " AND name IN (SELECT value FROM json_each(?))",
        (orjson.dumps(list(names)).decode(),),
    )
    return dict(rows)


def triggers(file: SourceFile) -> dict[str, tuple[str, str]]:
    """The table and the text of every trigger, by its name."""
    rows = file.query("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'")
    return {name: (table, sql) for name, table, sql in rows}


def fingerprint(source: SourceTable) -> str:
    return repr(source.unique_sets)


def has_table(file: SourceFile, name: str) -> bool:
    return bool(
        file.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,)).get
    )
