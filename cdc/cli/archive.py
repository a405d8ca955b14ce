"""`cdc archive`: the event store."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from cdc.archive.audit import Finding
from cdc.cli.options import ConfigOption, JsonOption, SourceOption, load_config, open_target
from cdc.cli.output import DATA, put_json, tell
from cdc.errors import ConfigError
from cdc.pipeline.restarting import restart as restart_archive
from cdc.pipeline.stock import Audited, Stock, audit_all, take_stock
from cdc.postgres import archived, state

app = typer.Typer(
    name="archive",
    help="The event store: what it holds, whether it is sound, and new baselines for it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TableOption = Annotated[
    str | None, typer.Option("--table", metavar="T", help="This table of SQLite only.")
]


@app.command()
def status(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what the archive holds of each source. Exit code 1 when something keeps it from growing.

    Reads names and headers alone; cdc archive verify reads everything.
    """
    loaded = load_config(config)
    with open_target(loaded) as target:
        stocks = take_stock(loaded, target)
    if json:
        sources = [_as_json(stock) for stock in stocks]
        put_json({"enabled": loaded.archive.enabled, "sources": sources})
    else:
        if not loaded.archive.enabled:
            tell("The archive is switched off in the configuration.")
        for stock in stocks:
            _print(stock)
    raise typer.Exit(1 if any(stock.trouble for stock in stocks) else 0)


@app.command()
def verify(
    config: ConfigOption = None, source: SourceOption = None, json: JsonOption = False
) -> None:
    """Read every segment, and name each that is damaged, missing, or does not belong there.

    Exit code 0 when the archive is sound, 1 when not.
    """
    loaded = load_config(config)
    found: list[Audited] = []
    with open_target(loaded) as target:
        for audited in audit_all(loaded, target, source):
            found.append(audited)
            if not json:
                _print_audited(audited)
    sound = not any(audited.findings for audited in found)
    if json:
        put_json({"sound": sound, "sources": [_audited_as_json(each) for each in found]})
    tell("The archive is sound." if sound else "The archive is not sound.")
    raise typer.Exit(0 if sound else 1)


@app.command()
def baseline(
    config: ConfigOption = None,
    source: SourceOption = None,
    table: TableOption = None,
    json: JsonOption = False,
) -> None:
    """Ask for a new baseline of each table, of one source, or of one table.

    A running daemon writes it within seconds, as far as the rows can be read that fast; otherwise
    the next cdc run does. Until then a state is rebuilt from the one before.
    """
    loaded = load_config(config)
    asked = []
    with open_target(loaded) as target, target.lease() as conn:
        state.install(conn)
        for each in loaded.sources if source is None else [loaded.source(source)]:
            known = [t.name for t in state.captured_tables(conn, each.name)]
            names = [name for name in known if table in (None, name)]
            archived.want_baselines(conn, each.name, names)
            asked += [{"source": each.name, "table": name} for name in names]
    if table is not None and not asked:
        raise ConfigError(f"There is no table {table!r} that is replicated.")
    if json:
        put_json({"asked": asked})
    tell(f"Asked for the baselines of {len(asked)} tables.")


@app.command()
def restart(
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Of this source.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Begin a source's archive anew, where the old one is damaged and cannot be put back.

    What is left of the old one is set aside beside it, and nothing is deleted. Needs the daemon
    stopped; the next cdc run begins with new baselines.
    """
    loaded = load_config(config)
    with open_target(loaded) as target:
        aside = restart_archive(loaded, loaded.source(source), target)
    if json:
        put_json({"source": source, "set_aside": None if aside is None else str(aside)})
    tell(
        f"The archive of {source} begins anew with the next cdc run."
        + (f" What was there is in {aside}." if aside else "")
    )


def _print(stock: Stock) -> None:
    DATA.print()
    DATA.print(stock.name, markup=False, style="bold")
    DATA.print(
        f"  archive   {stock.segments:,} segments, {_mb(stock.size)}, in {stock.directory}",
        markup=False,
    )
    events = "none yet"
    if stock.last_seq:
        times = f"{_time(stock.first_at)} to {_time(stock.last_at)}"
        events = f"{stock.first_seq:,} to {stock.last_seq:,}, of {times}"
    waiting = f"; {stock.waiting:,} wait to be archived" if stock.waiting else ""
    DATA.print(f"  events    {events}{waiting}", markup=False)
    DATA.print(f"  changelog from event {stock.live_seq:,} on", markup=False)
    rows = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
    for base in stock.baselines:
        what = f"{base.rows:,} rows at event {base.last_as_of:,}, of {_time(base.created_at)}"
        rows.add_row("  baseline", base.table.name, what)
    for name in stock.without_baseline:
        rows.add_row("  baseline", name, "none yet")
    if rows.row_count:
        DATA.print(rows, markup=False)
    for hold in stock.holds:
        words = f"  held back {hold.owner} needs the events behind {hold.seq:,}"
        DATA.print(f"{words}, until {hold.expires_at:%Y-%m-%d %H:%M:%S %Z}", markup=False)
    if stock.trouble:
        DATA.print(f"  trouble   {stock.trouble}", markup=False, style="bold red")


def _as_json(stock: Stock) -> dict[str, Any]:
    """The contract of `archive status --json`; times are Unix times."""
    return {
        "name": stock.name,
        "log": stock.log_id,
        "directory": str(stock.directory),
        "segments": stock.segments,
        "bytes": stock.size,
        "first_seq": stock.first_seq,
        "last_seq": stock.last_seq,
        "first_at": stock.first_at,
        "last_at": stock.last_at,
        "live_seq": stock.live_seq,
        "waiting": stock.waiting,
        "baselines": [
            {
                "table": base.table.name,
                "rows": base.rows,
                "seq": base.last_as_of,
                "at": base.created_at,
            }
            for base in stock.baselines
        ],
        "without_baseline": stock.without_baseline,
        "held_back": [
            {"owner": hold.owner, "seq": hold.seq, "expires_at": hold.expires_at}
            for hold in stock.holds
        ],
        "trouble": stock.trouble,
    }


def _print_audited(audited: Audited) -> None:
    count = len(audited.findings)
    words = "sound" if not count else f"{count} finding{'s' if count > 1 else ''}"
    DATA.print(
        f"{audited.name}  log {audited.log_id}  {audited.segments:,} segments  {words}",
        markup=False,
    )
    for finding in audited.findings:
        DATA.print(f"  {_found(finding)}", markup=False, style="bold red")


def _found(finding: Finding) -> str:
    if finding.what == "damaged":  # its words name the segment themselves
        return f"damaged  {finding.words}"
    segment = "the archive" if finding.number is None else f"segment {finding.number}"
    where = f" ({finding.path.name})" if finding.path and finding.what == "foreign" else ""
    return f"{finding.what}  {segment}{where}: {finding.words}"


def _audited_as_json(audited: Audited) -> dict[str, Any]:
    """The contract of `archive verify --json`."""
    return {
        "name": audited.name,
        "log": audited.log_id,
        "segments": audited.segments,
        "findings": [
            {
                "what": finding.what,
                "segment": finding.number,
                "file": None if finding.path is None else str(finding.path),
                "message": finding.words,
            }
            for finding in audited.findings
        ],
    }


def _mb(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"


def _time(seconds: float | None) -> str:
    return (
        "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
