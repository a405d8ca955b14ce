"""Where a table and its columns came from, told by SQLite itself.

`ALTER TABLE … RENAME` rewrites the triggers on a table, ours among them: so the trigger that logs
the columns of a capture says what each of them is called now, and on which table it stands. A
rebuild (create, copy, drop, rename) takes the triggers along; then only names are left to go by.
"""

import re
from collections.abc import Mapping
from typing import Final

from cdc.event import Op
from cdc.schema import Table
from cdc.sqlite.captures import StoredCapture, triggers
from cdc.sqlite.connection import SourceFile
from cdc.sqlite.layouts import Ancestor
from cdc.sqlite.triggers import ROW

_LOGGED: Final = re.compile(rf'{ROW}\.("(?:[^"]|"")*"|[^\s,"]+)(?:, )?')


class Lineage:
    """What the captures that a file records have become; for use within one transaction.

    `layouts` are the layouts of the file by id.
    """

    def __init__(
        self, file: SourceFile, stored: list[StoredCapture], layouts: Mapping[int, Table]
    ) -> None:
        self._layouts = layouts
        self._named = {capture.name: capture for capture in stored}
        self._followed: dict[str, tuple[StoredCapture, str]] = {}
        self._moved: set[int] = set()
        with file.at_rest():
            for capture in stored:
                place = _insert_trigger(file, capture)
                if place is not None:
                    table, text = place
                    self._followed[table] = (capture, text)
                    if table != capture.name:
                        self._moved.add(capture.layout)

    def renamed(self, name: str) -> bool:
        """Whether the table of this name was captured under another one."""
        return name in self._followed and self._followed[name][0].name != name

    def ancestors(self, table: Table) -> tuple[Ancestor, ...]:
        """The layouts that a table had before, the one of the same name first."""
        found = []
        named = self._named.get(table.name)
        followed = self._followed.get(table.name)
        if named is not None and named.layout not in self._moved:
            text = followed[1] if followed is not None and followed[0] is named else ""
            found.append(self._ancestor(table, named, text))
        if followed is not None and followed[0] is not named:
            found.append(self._ancestor(table, *followed))
        return tuple(found)

    def _ancestor(self, table: Table, capture: StoredCapture, trigger: str) -> Ancestor:
        before = [column.name for column in self._layouts[capture.layout].columns]
        names = logged_columns(trigger, capture.layout)
        if len(names) != len(before):
            names = before
        places = {name.lower(): i for i, name in enumerate(names)}
        columns = tuple(places.get(column.name.lower()) for column in table.columns)
        return Ancestor(capture.layout, columns)


def logged_columns(trigger: str, layout: int) -> list[str]:
    """The columns, by their present names, that the text of an insert trigger logs.

    >>> logged_columns("… SELECT julianday('now'), 'i', 7, 0, _cdc_t.\\"a \\"\\"b\\", _cdc_t.c", 7)
    ['a "b', 'c']
    """
    _, start, rest = trigger.partition(f"'{Op.INSERT}', {layout}, 0, ")
    names = []
    place = 0
    while start and (match := _LOGGED.match(rest, place)):
        names.append(_unquoted(match[1]))
        place = match.end()
    return names


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _insert_trigger(file: SourceFile, capture: StoredCapture) -> tuple[str, str] | None:
    """The table that a capture's insert trigger stands on, and its text."""
    return file.once(triggers).get(f"_cdc_{capture.layout}_insert")
