"""`cdc status`: what every source is doing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from cdc.cli.freeze import freeze_as_json
from cdc.cli.health import kept_as_json, print_kept
from cdc.cli.lag import as_json as lag_as_json
from cdc.cli.lag import state_words
from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import DATA, duration, put_json
from cdc.config import Config
from cdc.errors import SourceUnavailable, TargetUnavailable
from cdc.pipeline.disk import Outlook, all_there_is, outlooks
from cdc.pipeline.lag import SourceLag, measure
from cdc.postgres import health as health_kept
from cdc.postgres import state, switches
from cdc.postgres.switches import Switch
from cdc.sqlite.lock import holder

MB: Final = 1_000_000

CHOICES: Final = (
    "bring PostgreSQL back: what waits is applied, and its room used again",
    "make room on the disk",
    "or let go of a table for now: cdc uninstall --source {source} --table T",
    "  (once there is room again, cdc install --source {source} --table T has it copied anew)",
)
"""What the operator may do about a disk that fills, the cheapest first."""

MODES: Final = {
    "normal": "SQLite takes the writes",
    "active": "PostgreSQL takes the writes",
    "rollback": "nobody takes writes, on the way back to SQLite",
}


def status(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what each source is doing, table by table; works with the daemon up or down."""
    loaded = load_config(config)
    try:
        _show(loaded, json=json)
    except TargetUnavailable as error:
        _show_files(loaded, str(error), json=json)
        raise


def _show(loaded: Config, *, json: bool) -> None:
    with open_target(loaded) as target:
        lags = measure(loaded, target)
        description = target.description
        with target.lease() as conn:
            known = state.identity(conn)
            version = known.version if known else 0
            mode = switches.mode(conn, version)
            end = switches.finished(conn)
            health = health_kept.last(conn) if version >= health_kept.SINCE_VERSION else None
    disks = outlooks(loaded, {each.name: _applied(each) for each in lags})
    if json:
        more = {
            "mode": mode,
            "finished_at": end.switched_at if end else None,
            "health": kept_as_json(health),
        }
        put_json(_as_json(lags, disks, description) | more)
        return
    DATA.print(f"target  {description}", markup=False)
    DATA.print(f"mode    {mode}: {MODES[mode]}{_for_good(end)}", markup=False)
    if health is not None and mode == "active" and end is None:
        print_kept(health)
    for each in lags:
        _print_source(each, disks[each.name])


def _show_files(config: Config, problem: str, *, json: bool) -> None:
    """What can be told without PostgreSQL: how long the disks last."""
    disks = outlooks(config, all_there_is(config))
    if json:
        sources = [
            {"name": s.name, "path": str(s.path), "disk": _disk_as_json(disks[s.name])}
            for s in config.sources
            if s.name in disks
        ]
        put_json({"target": None, "problem": problem, "sources": sources})
        return
    DATA.print("target  PostgreSQL does not answer; the files alone tell this much:")
    for source in config.sources:
        if source.name in disks:
            DATA.print()
            DATA.print(source.name, markup=False, style="bold")
            DATA.print(f"  file    {source.path}", markup=False)
            DATA.print(f"  daemon  {_daemon(source.path)}", markup=False)
            _print_disk(source.name, disks[source.name])


def _daemon(path: Path) -> str:
    try:
        return str(holder(path) or "not running")
    except SourceUnavailable as error:
        return error.line


def _for_good(end: Switch | None) -> str:
    if end is None:
        return ""
    unfinished = "; cdc finish had not come to its end: run it again" if end.unfinished else ""
    return f", for good since {end.switched_at:%Y-%m-%d %H:%M:%S} UTC{unfinished}"


def _applied(each: SourceLag) -> int:
    """Up to where nothing waits for PostgreSQL; on the way back nothing does at all."""
    return each.captured_seq if each.returning else each.applied_seq


def _as_json(lags: list[SourceLag], disks: Mapping[str, Outlook], target: str) -> dict[str, Any]:
    sources = [
        lag
        | {
            "path": each.path,
            "message": each.message,
            "holder": each.holder,
            "disk": _disk_as_json(disks[each.name]),
            "tables": each.tables,
            "left_out": each.left_out,
            "drift": each.drift,
            "freeze": freeze_as_json(each.freeze) if each.freeze else None,
            "stopped": [
                {"name": t.name, "reason": t.reason, "remedy": t.remedy} for t in each.stopped
            ],
        }
        for lag, each in zip(lag_as_json(lags)["sources"], lags, strict=True)
    ]
    return {"target": target, "sources": sources}


def _disk_as_json(disk: Outlook) -> dict[str, Any]:
    return {
        "free_mb": disk.free_mb,
        "waiting_mb": round(disk.waiting_bytes / MB, 3),
        "growth_mb_per_hour": round(disk.bytes_per_hour / MB, 3),
        "seconds_left": None if disk.seconds_left is None else round(disk.seconds_left),
        "shares": [{"table": name, "share": round(part, 3)} for name, part in disk.shares],
    }


def _disk(disk: Outlook) -> str:
    words = f"{disk.free_mb:,} MB free"
    if disk.waiting_events:
        words += f"; about {disk.waiting_bytes / MB:,.1f} MB wait in the file"
    if disk.seconds_left is not None:
        grows = f"{disk.bytes_per_hour / MB:,.1f} MB an hour"
        words += f", which grows by {grows}: the disk lasts for {duration(disk.seconds_left)}"
    return words


def _print_disk(source: str, disk: Outlook) -> None:
    DATA.print(f"  disk    {_disk(disk)}", markup=False)
    if disk.seconds_left is not None:
        DATA.print(f"          → mostly by {disk.largest}", markup=False)
        for choice in CHOICES:
            DATA.print(f"          → {choice.format(source=source)}", markup=False)


def _way_back(each: SourceLag) -> str:
    if each.finished_at:
        return f", for good: nothing is brought back since {each.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    left = f"; SQLite cannot hold {each.left_behind:,} rows" if each.left_behind else ""
    return f": the lag is that of the way back{left}"


def _print_source(each: SourceLag, disk: Outlook) -> None:
    DATA.print()
    DATA.print(f"{each.name}  {state_words(each)}", markup=False, style="bold")
    DATA.print(f"  file    {each.path}", markup=False)
    DATA.print(f"  daemon  {each.holder or 'not running'}", markup=False)
    behind = f", the oldest {duration(each.lag_seconds)} old" if each.lag_events else ""
    DATA.print(
        f"  lag     {each.lag_events:,} events{behind}; applied {each.applied_seq:,} of"
        f" {each.captured_seq:,}",
        markup=False,
    )
    _print_disk(each.name, disk)
    if each.returning:
        DATA.print(f"  master  PostgreSQL{_way_back(each)}", markup=False)
    if each.freeze:
        since = f"{each.freeze.since:%Y-%m-%d %H:%M:%S} UTC"
        DATA.print(
            f"  frozen  since {since}: {each.freeze.reason}", markup=False, style="bold yellow"
        )
        if not each.freeze.complete:
            DATA.print(
                f"          → these still take writes: {', '.join(each.freeze.writable)}",
                markup=False,
            )
    if each.message:
        DATA.print(f"  note    {each.message}", markup=False)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
    for t in each.tables:
        aside = f", {t.quarantined:,} rows in quarantine" if t.quarantined else ""
        state = "live" if t.live else f"copying, {t.rows:,} rows"
        state = "stopped" if t.name in {waiting.name for waiting in each.stopped} else state
        table.add_row("         ", t.name, state + aside, t.target)
    if each.tables:
        DATA.print(table)
    for missing in each.left_out:
        what = f"{missing.table}: {missing.what}"
        DATA.print(f"  without {what} ({missing.reason})", markup=False)
    if each.drift:
        first = each.drift[0]
        DATA.print(
            f"  drift   {len(each.drift):,} rows differ since"
            f" {first.first_seen_at:%Y-%m-%d %H:%M:%S} UTC, such as {first.name}, key {first.key}:"
            f" {first.what}",
            markup=False,
            style="bold red",
        )
        DATA.print("          → cdc verify shows them, and --repair mends them", markup=False)
    for waiting in each.stopped:
        DATA.print(f"  stopped {waiting.name}: {waiting.reason}", markup=False, style="bold red")
        DATA.print(f"          → {waiting.remedy}", markup=False)
