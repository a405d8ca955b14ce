"""`cdc lag`: the gate in front of the cutover."""

from typing import Annotated, Any

import typer
from rich.table import Table

from cdc.cli.options import ConfigOption, JsonOption, load_config, open_target
from cdc.cli.output import DATA, duration, put_json
from cdc.cli.plan_words import number
from cdc.pipeline.lag import SourceLag, measure
from cdc.pipeline.progress import SourceState


def lag(
    config: ConfigOption = None,
    max_events: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Accept that many events not yet applied."),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=0, metavar="S", help="Accept that age of the oldest of them."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say how far PostgreSQL is behind. Exit code 0 when that is within the gate, 1 when not.

    Without options the gate is that of [cutover] in the configuration. A source that is still being
    copied, or that has halted, is never within it.
    """
    loaded = load_config(config)
    with open_target(loaded) as target:
        lags = measure(loaded, target)
    events = loaded.cutover.max_lag_events if max_events is None else max_events
    seconds = loaded.cutover.max_lag_seconds if max_seconds is None else max_seconds
    if json:
        put_json(as_json(lags))
    else:
        DATA.print(_table(lags))
    within = all(
        each.settled and each.lag_events <= events and each.lag_seconds <= seconds for each in lags
    )
    raise typer.Exit(0 if within else 1)


def as_json(lags: list[SourceLag]) -> dict[str, Any]:
    """The contract of `lag --json`."""
    return {
        "sources": [
            {
                "name": each.name,
                "captured_seq": each.captured_seq,
                "applied_seq": each.applied_seq,
                "lag_events": each.lag_events,
                "lag_seconds": round(each.lag_seconds, 6),
                "state": each.state,
                "copied": each.copied,
                "quarantined": each.quarantined,
                "stopped": [table.name for table in each.stopped],
                "frozen": each.freeze is not None,
                "direction": "reverse" if each.returning else "forward",
                "left_behind": each.left_behind,
            }
            for each in lags
        ],
        "max_lag_events": max((each.lag_events for each in lags), default=0),
        "max_lag_seconds": round(max((each.lag_seconds for each in lags), default=0.0), 6),
    }


def state_words(each: SourceLag) -> str:
    """The state for people: what is stopped is a table, and where nobody works nothing runs."""
    words = [each.state]
    if each.state == SourceState.STOPPED:
        words = ["not running"] if each.copied else ["not running", "copy incomplete"]
    if each.stopped:
        words.append(f"{number(len(each.stopped), 'table')} stopped")
    if each.freeze:
        words.append("frozen")
    return ", ".join(words)


def _table(lags: list[SourceLag]) -> Table:
    table = Table("source", "state", box=None, pad_edge=False, header_style="bold")
    for column in ("captured", "applied", "lag", "age", "quarantined"):
        table.add_column(column, justify="right")
    for each in lags:
        table.add_row(
            each.name,
            state_words(each),
            f"{each.captured_seq:,}",
            f"{each.applied_seq:,}",
            f"{each.lag_events:,}",
            duration(each.lag_seconds),
            f"{each.quarantined:,}",
        )
    return table
