"""Every state of one row, as the events of its key tell it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.config import Config
from cdc.constraints import folded
from cdc.errors import ConfigError, SourceError
from cdc.event import AT, LAYOUT, OP, SEQ, VALUES, Event, Op
from cdc.mapping.codec import same
from cdc.replay.forms import OPS
from cdc.replay.instants import instant_of
from cdc.replay.keys import parse_key
from cdc.replay.reader import Beginning, EventReader, sources_of
from cdc.replay.selection import Chosen, Selection
from cdc.schema import Key, Value
from cdc.sqlite import introspect
from cdc.sqlite.lookup import Lookup

CATCH_UPS: Final = 100
"""How often the log's end is looked for beside a busy writer, before a row counts as it is."""

Image = Mapping[str, Value]
"""A row by the names that its columns have now."""


@dataclass(frozen=True, slots=True)
class State:
    """What one event made of the row; `row` is None where it is gone.

    `changed` are the columns that differ from the state before, None where that is not known.
    `anew` says that the table's capture began anew since then: changes in between may be missing.
    """

    seq: int
    at: datetime | None
    what: str
    row: Image | None
    changed: tuple[str, ...] | None
    anew: bool


@dataclass(frozen=True, slots=True)
class History:
    """The states of one row, oldest first, and the row as it is in the file, None without one.

    `beginning` is the oldest event of the log: what was before that is not known.
    """

    source: str
    table: str
    key: Image
    states: list[State]
    present: Image | None
    beginning: Beginning | None


def history(config: Config, source: str | None, table: str, words: Sequence[str]) -> History:
    """The history of the row whose key the words stand for.

    Raises ConfigError for a table that no log knows, or more than one, and for a key that does not
    parse.
    """
    bound = config.replication.lock_bound_ms / 1000
    with _reader(config, source, table, bound) as reader:
        layout = reader.shapes.newest(table)
        assert layout is not None
        shape = reader.shapes.tables[layout]
        key = parse_key(shape, words)
        beginning = reader.beginning()
        states, present = _states(reader, Selection(table=table, key=words), key)
        names = [column.name for column in shape.key_columns]
        return History(
            reader.source.name,
            shape.name,
            dict(zip(names, key, strict=True)),
            states,
            present,
            beginning,
        )


def _reader(config: Config, source: str | None, table: str, lock_bound: float) -> EventReader:
    """A reader of the one source whose log knows the table."""
    found: list[EventReader] = []
    known: list[str] = []
    errors: list[SourceError] = []
    for each in sources_of(config, source):
        try:
            reader = EventReader(each, lock_bound)
        except SourceError as error:
            errors.append(error)
            continue
        known += [f"{each.name}: {name}" for name in reader.shapes.names]
        if reader.shapes.newest(table) is None:
            reader.close()
        else:
            found.append(reader)
    if len(found) == 1:
        return found[0]
    for reader in found:
        reader.close()
    if errors and not found:
        raise errors[0]
    if not found:
        raise ConfigError(
            f"No event tells of a table {table!r}.",
            hint=f"The tables that are recorded: {'; '.join(known) or 'none'}.",
        )
    names = ", ".join(reader.source.name for reader in found)
    raise ConfigError(
        f"More than one source has a table {table!r}: {names}.", hint="Name one with --source."
    )


def _states(
    reader: EventReader, selection: Selection, key: Key
) -> tuple[list[State], Image | None]:
    chosen = Chosen(selection, reader.shapes)
    story = _Story(reader, str(selection.table))
    present: Image | None = None
    for _ in range(CATCH_UPS):
        while events := reader.read():
            chosen.look(reader.shapes)
            for event in filter(chosen.of_row, events):
                story.tell(event)
        with reader.file.reading():
            settled = reader.is_at_end()
            present = _present(reader, str(selection.table), key)
        if settled:
            break
    return story.states, present


class _Story:
    """The states so far."""

    def __init__(self, reader: EventReader, table: str) -> None:
        self.states: list[State] = []
        self._reader = reader
        self._table = table
        self._layout: int | None = None

    def tell(self, event: Event) -> None:
        before = self.states[-1].row if self.states else None
        row = None
        if event[OP] not in Op.GONE:
            names = self._reader.shapes.of_table(self._table)[event[LAYOUT]]
            row = dict(zip(names, event[VALUES:], strict=False))
        self.states.append(
            State(
                seq=event[SEQ],
                at=instant_of(event[AT]),
                what=OPS.get(event[OP], str(event[OP])),
                row=row,
                changed=tuple(_changed(before, row)) if before and row else None,
                anew=self._layout not in {None, event[LAYOUT]},
            )
        )
        self._layout = event[LAYOUT]


def _changed(before: Image, row: Image) -> Iterator[str]:
    for name, value in row.items():
        if name not in before or not same(before[name], value):
            yield name


def _present(reader: EventReader, table: str, key: Key) -> Image | None:
    """The row as it is in the file; for use within a read transaction."""
    names = [name for name in introspect.table_names(reader.file) if folded(name) == folded(table)]
    if not names:
        return None
    try:
        source = introspect.source_table(reader.file, names[0])
    except SourceError:
        return None  # it can not be captured as it is now, so it has no key that we know
    if len(source.table.key) != len(key):
        return None
    row = Lookup(reader.file, source).row(key)
    columns = (column.name for column in source.table.columns)
    return None if row is None else dict(zip(columns, row, strict=True))
