"""What the reference user's types cost, against the types that a column gets without a word."""

import shutil
import time
from pathlib import Path
from typing import Final

from bench import catch_up, legacy, product, target
from bench.report import Figure, interleaved

BOUND = ("at least", 0.6)

TYPES: Final = (
    dict.fromkeys(("buy_price", "sell_price", "pnl", "momentum", "fees"), "numeric(10,4)")
    | dict.fromkeys(("symbol_open", "symbol_close"), "numeric(10,2)")
    | dict.fromkeys(("prob", "volatility"), "numeric(5,4)")
    | dict.fromkeys(("strike", "status", "symbol", "market", "entry_method"), "varchar(20)")
    | dict.fromkeys(("contract", "trade_strategy", "ticker", "close_method"), "varchar(100)")
    | dict.fromkeys(("side", "win_loss"), "varchar(10)")
    | {"date": "date", "time": "time", "closed_at": "timestamptz", "position": "integer"}
)
"""What becomes of the columns of the table of trades; values that need rounding are rounded."""


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """A copy and a backlog, each with the plain types and with the reference user's in turn."""
    rows, events = (30_000, 40_000) if quick else (300_000, 200_000)
    rounds = 1 if quick else 3
    plain, mapped = interleaved(
        rounds,
        lambda: _copy(dsn, directory, rows, ""),
        lambda: _copy(dsn, directory, rows, _overrides()),
    )
    note = f"{rows:,} rows of 25 columns, {plain:.1f} s plain, {mapped:.1f} s mapped"
    figures = [Figure("copy with REC.IO's types, to plain", plain / mapped, "x", BOUND, note)]
    plain, mapped = interleaved(
        rounds,
        lambda: _catch_up(dsn, directory, events, ""),
        lambda: _catch_up(dsn, directory, events, _overrides()),
    )
    note = f"{events:,} events, {plain / 1000:,.0f},000/s plain, {mapped / 1000:,.0f},000/s mapped"
    figures.append(
        Figure("catch-up with REC.IO's types, to plain", mapped / plain, "x", BOUND, note)
    )
    return figures


def _overrides() -> str:
    """The configuration of the columns, to stand behind that of the only source."""
    parts = []
    for column, type_ in TYPES.items():
        parts.append(f'[sources.tables.trades.columns.{column}]\ntype = "{type_}"')
        if type_.startswith("numeric"):
            parts.append('on_misfit = "round"')
        if type_ == "timestamptz":
            parts.append('timezone = "America/New_York"\nambiguous = "earlier"')
    return "\n".join(parts)


def _configured(directory: Path, dsn: str, file: Path, overrides: str) -> Path:
    config = product.write_config(directory, dsn, [file], archive=False)
    with config.open("a", encoding="utf-8") as out:
        out.write(overrides)
    return config


def _copy(dsn: str, directory: Path, rows: int, overrides: str) -> float:
    """The seconds that the copy of a fresh file takes, from the start of the command."""
    file = directory / "copy.db"
    original = directory / "rows.db"
    if not original.exists():
        legacy.create(original, legacy.TRADES)
        legacy.fill(original, legacy.INSERT_TRADE, legacy.trades(rows))
    shutil.copy(original, file)  # without the triggers of the round before
    with target.database(dsn) as database:
        config = _configured(directory, database, file, overrides)
        started = time.monotonic()
        product.cdc("run", "--until-caught-up", "-c", config)
        return time.monotonic() - started


def _catch_up(dsn: str, directory: Path, events: int, overrides: str) -> float:
    """The events applied each second of a backlog."""
    file = directory / "backlog.db"
    file.unlink(missing_ok=True)
    legacy.create(file, legacy.TRADES)
    legacy.fill(file, legacy.INSERT_TRADE, legacy.trades(legacy.RECENT))
    with target.database(dsn) as database:
        config = _configured(directory, database, file, overrides)
        product.cdc("run", "--until-caught-up", "-c", config)
        legacy.busy(file, events)
        applied, seconds = catch_up.catch_up(config)
        return applied / seconds
