"""The layouts of a log: what the values of an event were at the time, kept in the file itself."""

from dataclasses import dataclass, fields
from typing import Any, Final

import orjson

from cdc.schema import Column, Table
from cdc.sqlite.connection import SourceFile


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An earlier layout of a table: `columns` says for each of its columns now where it was then,
    None where there was none.
    """

    layout: int
    columns: tuple[int | None, ...]

    def before(self, older: "Ancestor") -> "Ancestor":
        """`older`, an ancestor of this one, as an ancestor of this one's descendant.

        >>> Ancestor(2, (0, None, 1)).before(Ancestor(1, (1, 0)))
        Ancestor(layout=1, columns=(1, None, 0))
        """
        columns = tuple(None if i is None else older.columns[i] for i in self.columns)
        return Ancestor(older.layout, columns)


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of the log in which a capture was in place: behind event `begun`, up to and with
    event `ended` (None: it goes on, or nobody has said when it ended).

    `sure` is the last event up to which it is known to have missed nothing, `sure_before` the same
    of the capture that it follows; None where nobody knows. `empty`: the table had no rows when it
    began.
    """

    begun: int
    empty: bool
    sure_before: int | None = None
    ended: int | None = None
    sure: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """All that is kept of a layout. `ddl` made the table and its indexes when the capture began;
    both it and `span` are missing in logs of the first versions.
    """

    table: Table
    ancestors: tuple[Ancestor, ...] = ()
    span: Span | None = None
    ddl: tuple[str, ...] = ()


def dump(
    table: Table,
    ancestors: tuple[Ancestor, ...] = (),
    span: Span | None = None,
    ddl: tuple[str, ...] = (),
) -> str:
    """What is kept of a layout, as the text that `_cdc_layout.definition` holds."""
    shape = orjson.loads(orjson.dumps(table))
    more = {} if span is None else {"span": span, "ddl": ddl}
    return orjson.dumps(shape | {"ancestors": ancestors} | more).decode()


def load(definition: str) -> Table:
    """The table that `dump` was given.

    >>> table = Table("t", (Column("id", "INTEGER", "INTEGER"),), (0,), integer_key=True)
    >>> load(dump(table)) == table
    True
    """
    return _table(orjson.loads(definition))


def load_record(definition: str) -> Record:
    """All that `dump` was given."""
    kept = orjson.loads(definition)
    ancestors = tuple(_ancestor(each) for each in kept.get("ancestors", ()))
    span = Span(**kept["span"]) if "span" in kept else None
    return Record(_table(kept), ancestors, span, tuple(kept.get("ddl", ())))


def _table(kept: dict[str, Any]) -> Table:
    own = {name: kept[name] for name in _OF_TABLE if name in kept}
    columns = tuple(Column(**column) for column in own.pop("columns"))
    return Table(columns=columns, key=tuple(own.pop("key")), **own)


_OF_TABLE: Final = tuple(field.name for field in fields(Table))


def _ancestor(kept: dict[str, Any]) -> Ancestor:
    return Ancestor(kept["layout"], tuple(kept["columns"]))


def add(file: SourceFile, record: Record) -> int:
    """Record a new layout within a write transaction; returns its id, which is never used again."""
    definition = dump(record.table, record.ancestors, record.span, record.ddl)
    file.query(
        "INSERT INTO _cdc_layout (name, definition) VALUES (?, ?)",
        (record.table.name, definition),
    )
    return int(file.query("SELECT max(id) FROM _cdc_layout").get)


def end(file: SourceFile, layout: int, *, ended: int, sure: int | None) -> None:
    """Record, within a write transaction, that a layout's capture has ended, as of `Span`."""
    definition = file.query("SELECT definition FROM _cdc_layout WHERE id = ?", (layout,)).get
    kept = orjson.loads(definition)
    if "span" in kept:
        kept["span"] |= {"ended": ended, "sure": sure}
        text = orjson.dumps(kept).decode()
        file.query("UPDATE _cdc_layout SET definition = ? WHERE id = ?", (text, layout))


def read(file: SourceFile) -> dict[int, Table]:
    """Every layout of the log, by id."""
    return {layout: load(text) for layout, text in read_definitions(file).items()}


def read_definitions(file: SourceFile) -> dict[int, str]:
    """The same, as the text that `load` reads."""
    return dict(file.query("SELECT id, definition FROM _cdc_layout"))


def read_ancestors(file: SourceFile, layout: int) -> tuple[Ancestor, ...]:
    """All that a layout descends from, nearer ones first."""
    found = list(_parents(file, layout))
    for ancestor in found:  # grows while it is walked
        found += [ancestor.before(older) for older in _parents(file, ancestor.layout)]
    return tuple(found)


def _parents(file: SourceFile, layout: int) -> tuple[Ancestor, ...]:
    definition = file.query("SELECT definition FROM _cdc_layout WHERE id = ?", (layout,)).get
    return load_record(definition).ancestors
