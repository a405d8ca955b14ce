"""`cdc quarantine`: rows that the target could not hold."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config, open_target
from cdc.cli.output import DATA, put_json, tell
from cdc.config import Config
from cdc.errors import ConfigError
from cdc.mapping.literals import literal
from cdc.pipeline import errand
from cdc.pipeline.retry import KIND as RETRY
from cdc.postgres import quarantine, state
from cdc.postgres.connection import Target
from cdc.postgres.misfit import shorten, show_key, storage_class
from cdc.postgres.quarantine import Entry

app = typer.Typer(
    name="quarantine",
    help="Rows that PostgreSQL could not hold: show them, try them again, or give them up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TableOption = Annotated[
    str | None, typer.Option("--table", metavar="T", help="This table of SQLite only.")
]
IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Entries, by the beginning of their ids."),
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Every entry of what the other options name.")
]
WaitOption = Annotated[
    float,
    typer.Option(min=0, metavar="S", help="Seconds to wait for a running daemon's answer."),
]

SHOWN_ID: Final = 10


@app.command("list")
def list_(
    config: ConfigOption = None,
    source: SourceOption = None,
    table: TableOption = None,
    dropped: Annotated[
        bool, typer.Option("--dropped", help="Show those that were given up, too.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the rows in the quarantine, oldest first."""
    loaded = load_config(config)
    with open_target(loaded) as target:
        found = _entries(loaded, target, source, table)
    found = [entry for entry in found if dropped or entry.dropped_at is None]
    if json:
        put_json({"entries": [_as_json(loaded, entry) for entry in found]})
        return
    if not found:
        tell("The quarantine is empty.")
        return
    rows = Table("id", "source", "table", "key", "seq", "why", box=None, pad_edge=False)
    for entry in found:
        why = entry.reason if entry.dropped_at is None else f"dropped; {entry.reason}"
        key = show_key(entry.key)
        rows.add_row(entry.id[:SHOWN_ID], entry.source, entry.name, key, str(entry.seq), why)
    DATA.print(rows, markup=False)


@app.command()
def show(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="The beginning of the entry's id.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one row of the quarantine whole, with the reason."""
    loaded = load_config(config)
    with open_target(loaded) as target:
        [entry] = _by_id(loaded, target, [entry_id])
        with target.lease() as conn:
            values = quarantine.read_row(conn, entry) or {}
    if json:
        row = {name: literal(value) for name, value in values.items()}
        put_json(_as_json(loaded, entry) | {"row": row})
        return
    DATA.print(f"{entry.source}  {entry.name}  key {show_key(entry.key)}", markup=False)
    DATA.print(f"  why   {entry.reason}", markup=False)
    DATA.print(f"  seq   {entry.seq}", markup=False)
    DATA.print(f"  since {entry.set_aside_at:%Y-%m-%d %H:%M:%S %Z}", markup=False)
    if entry.dropped_at is not None:
        DATA.print(f"  dropped {entry.dropped_at:%Y-%m-%d %H:%M:%S %Z}", markup=False)
    rows = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
    for name, value in values.items():
        mark = "→" if name == entry.column_name else ""
        rows.add_row(f"  {mark}", name, storage_class(value), shorten(value))
    DATA.print(rows, markup=False)


@app.command()
def retry(
    ids: IdsArgument = None,
    *,
    config: ConfigOption = None,
    source: SourceOption = None,
    table: TableOption = None,
    all_: AllOption = False,
    wait: WaitOption = 60.0,
    json: JsonOption = False,
) -> None:
    """Read rows of the quarantine again from SQLite, and write those that fit by now.

    A running daemon is asked to do it; without one the command does it itself. Exit code 0 when
    none of them is left in the quarantine, 1 otherwise.
    """
    loaded = load_config(config)
    with open_target(loaded) as target:
        found = _chosen(loaded, target, ids, source, table, all_=all_)
        by_source: dict[str, list[str]] = {}
        for entry in found:
            by_source.setdefault(entry.source, []).append(entry.id)
        healed = sum(
            errand.run(
                loaded,
                loaded.source(name),
                target,
                RETRY,
                each,
                command="cdc quarantine retry",
                wait_seconds=wait,
            )
            for name, each in by_source.items()
        )
    if json:
        put_json({"tried": len(found), "healed": healed})
    tell(f"{healed} of {len(found)} rows fit now and are in PostgreSQL.")
    raise typer.Exit(0 if healed == len(found) else 1)


@app.command()
def drop(
    ids: IdsArgument = None,
    *,
    config: ConfigOption = None,
    source: SourceOption = None,
    table: TableOption = None,
    all_: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Give rows of the quarantine up: they stay missing in PostgreSQL until they change in SQLite.

    They no longer count, but are kept on record, so that a comparison can tell them from a loss.
    """
    loaded = load_config(config)
    with open_target(loaded) as target:
        found = _chosen(loaded, target, ids, source, table, all_=all_)
        with target.lease() as conn:
            count = quarantine.drop(conn, [entry.id for entry in found])
    if json:
        put_json({"dropped": count})
    tell(f"{count} rows are given up. PostgreSQL will not have them until they change in SQLite.")


def _as_json(config: Config, entry: Entry) -> dict[str, Any]:
    """The contract of `quarantine list --json`; values are the SQL literals of SQLite."""
    return {
        "id": entry.id,
        "source": entry.source,
        "file": str(config.source(entry.source).path),
        "table": entry.name,
        "key": [literal(value) for value in entry.key],
        "seq": entry.seq,
        "column": entry.column_name,
        "reason": entry.reason,
        "since": entry.set_aside_at,
        "dropped": entry.dropped_at,
    }


def _chosen(
    config: Config,
    target: Target,
    ids: list[str] | None,
    source: str | None,
    table: str | None,
    *,
    all_: bool,
) -> list[Entry]:
    if bool(ids) == all_:
        raise ConfigError(
            "Name the entries by their ids, or all of them by --all.",
            hint="cdc quarantine list shows the ids; --source and --table narrow --all down.",
        )
    if ids:
        return _by_id(config, target, ids)
    return [e for e in _entries(config, target, source, table) if e.dropped_at is None]


def _entries(config: Config, target: Target, source: str | None, table: str | None) -> list[Entry]:
    if source is not None:
        config.source(source)
    known = {each.name for each in config.sources}
    with target.lease() as conn:
        known_target = state.identity(conn)
        if known_target is None or known_target.version < quarantine.SINCE_VERSION:
            return []
        return [e for e in quarantine.entries(conn, source, table) if e.source in known]


def _by_id(config: Config, target: Target, ids: Sequence[str]) -> list[Entry]:
    every = _entries(config, target, None, None)
    chosen = []
    for wanted in ids:
        found = [entry for entry in every if entry.id.startswith(wanted.lower())]
        if len(found) != 1:
            raise ConfigError(
                f"{len(found) or 'No'} entries of the quarantine have an id that begins with"
                f" {wanted!r}.",
                hint="cdc quarantine list --dropped shows the ids.",
            )
        chosen += found
    return chosen
