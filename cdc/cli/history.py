"""`cdc history`: every state of one row."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config
from cdc.cli.output import DATA, put_json, tell
from cdc.mapping.literals import literal
from cdc.replay import history as row_history
from cdc.replay.forms import row_form, time_form
from cdc.replay.history import History, Image, State
from cdc.replay.instants import instant_of
from cdc.schema import Value

MOST_CHARACTERS = 200
"""Of a value in the table; --json prints them whole."""


def history(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table in SQLite.")],
    key: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...", help="The row's key: one value for each column of the table's key."
        ),
    ],
    *,
    config: ConfigOption = None,
    source: SourceOption = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Every column in each state, not only what changed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show every recorded state of one row, with its times and what changed.

    A value is read as its column would store it; in quotes as SQL has it ('7', x'37'). One that
    begins with - comes after --. Exit code 1 when there is no such row, and never was one as far as
    is recorded.
    """
    loaded = load_config(config)
    found = row_history.history(loaded, source, table, key)
    if json:
        put_json(as_json(found))
    else:
        _print(found, whole=whole)
        _tell_beginning(found)
    raise typer.Exit(0 if found.states or found.present is not None else 1)


def as_json(found: History) -> dict[str, Any]:
    """The contract of `history --json`; values are in the form of `cdc events`."""
    begins = found.beginning
    return {
        "source": found.source,
        "table": found.table,
        "key": _form(found.key),
        "states": [
            {
                "seq": state.seq,
                "at": time_form(state.at),
                "op": state.what,
                "row": _form(state.row),
                "changed": state.changed,
                "anew": state.anew,
            }
            for state in found.states
        ],
        "present": _form(found.present),
        "log_begins": None
        if begins is None
        else {"seq": begins.seq, "at": time_form(instant_of(begins.at))},
    }


def _form(image: Image | None) -> dict[str, Any] | None:
    return None if image is None else row_form(image.keys(), image.values())


def _print(found: History, *, whole: bool) -> None:
    key = ", ".join(f"{name} = {_shown(value)}" for name, value in found.key.items())
    DATA.print(f"{found.table}  {key}  (source {found.source})", markup=False, style="bold")
    if not found.states:
        return
    rows = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    rows.add_column("seq", justify="right")
    for heading in ("local time", "UTC", "what", "column"):
        rows.add_column(heading)
    rows.add_column("value", overflow="fold")
    before: Image | None = None
    for state in found.states:
        _add(rows, state, before, whole=whole)
        before = state.row
    DATA.print(rows, markup=False)


def _add(rows: Table, state: State, before: Image | None, *, whole: bool) -> None:
    if state.anew:
        note = "the capture began anew here; changes before it may be missing"
        rows.add_row("", "", "", Text("—"), "", Text(note, style="yellow"))
    lines = list(_lines(state, before, whole=whole)) or [("", Text("nothing changed"))]
    for number, (column, value) in enumerate(lines):
        head = (str(state.seq), _local(state.at), _utc(state.at), state.what)
        style = "bold" if column.startswith("*") else ""
        rows.add_row(*(head if number == 0 else ("", "", "", "")), Text(column, style=style), value)


def _lines(state: State, before: Image | None, *, whole: bool) -> list[tuple[str, Text]]:
    """Each column to be shown with what it holds; an asterisk marks what changed."""
    if state.row is None:
        return [("", Text("no row", style="red"))]
    lines = []
    for name, value in state.row.items():
        if state.changed is not None and name in state.changed:
            then = _shown(before[name]) if before and name in before else "no such column"
            change = Text.assemble((then, "dim"), " → ", (_shown(value), "bold green"))
            lines.append((f"* {name}", change))
        elif state.changed is None or whole:
            lines.append((f"  {name}", Text(_shown(value))))
    return lines


def _tell_beginning(found: History) -> None:
    if not found.states:
        kept = "as far back as events are kept" if found.beginning else "since there is a log"
        if found.present is None:
            tell(f"There is no such row, and no event tells of one, {kept}.")
        else:
            tell(f"The row is there, and has not changed {kept}:")
            for name, value in found.present.items():
                tell(f"  {name}  {_shown(value)}")
    elif (found.states[-1].row is None) != (found.present is None):
        tell("The file holds another state than the last one here: the capture had a gap.")
    if found.beginning is not None:
        at = instant_of(found.beginning.at)
        tell(
            f"The events of {found.source} are kept from {found.beginning.seq}"
            f" ({_local(at)}) on; what the row was before that is not known."
        )


def _local(at: datetime | None) -> str:
    return "" if at is None else _milliseconds(at.astimezone(), " %Z")


def _utc(at: datetime | None) -> str:
    return "" if at is None else _milliseconds(at, "")


def _milliseconds(at: datetime, behind: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}" + at.strftime(behind)


def _shown(value: Value) -> str:
    text = literal(value)
    if text is None:
        return "NULL"
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
