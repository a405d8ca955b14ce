"""The first copy, against pgloader: whole processes, from nothing to every row in PostgreSQL."""

import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench import legacy, product, target
from bench.report import Figure, interleaved

BOUND = ("at least", 4.0)


def run(dsn: str, directory: Path, *, quick: bool) -> list[Figure]:
    """One file of narrow and wide rows, copied by each in turn, into a fresh database each time."""
    narrow, wide = (100_000, 30_000) if quick else (1_000_000, 300_000)
    original = directory / "original.db"
    legacy.create(original, legacy.TICKS, legacy.TRADES)
    legacy.fill(original, legacy.INSERT_TICK, legacy.ticks(narrow))
    legacy.fill(original, legacy.INSERT_TRADE, legacy.trades(wide))
    file = directory / "copy.db"
    _require_pgloader()

    def ours() -> float:
        shutil.copy(original, file)  # without the triggers of the round before
        with target.database(dsn) as database:
            # pgloader writes no event store either; the daemon writes it beside and after the copy.
            config = product.write_config(directory, database, [file], archive=False)
            started = time.monotonic()
            product.cdc("run", "--until-caught-up", "-c", config)
            seconds = time.monotonic() - started
            _check(database, narrow, wide)
            return seconds

    def pgloader() -> float:
        with target.database(dsn) as database:
            started = time.monotonic()
            _pgloader(original, database)
            seconds = time.monotonic() - started
            _check(database, narrow, wide)
            return seconds

    own, other = interleaved(1 if quick else 3, ours, pgloader)
    note = f"cdc run --until-caught-up; {narrow:,} narrow and {wide:,} wide rows"
    return [Figure("copy, times as fast as pgloader", other / own, "x", BOUND, note)]


def _pgloader(file: Path, dsn: str) -> None:
    # With its defaults it makes the tables and their primary keys, as cdc does.
    command = ["pgloader", f"sqlite://{file}", _url(dsn)]
    done = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"pgloader: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _url(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    host = str(parts.get("host", "localhost"))
    netloc = f"unix:{host}" if host.startswith("/") else host
    user = quote(str(parts.get("user", "postgres")))
    password = f":{quote(str(parts['password']))}" if "password" in parts else ""
    return f"pgsql://{user}{password}@{netloc}:{parts.get('port', 5432)}/{parts['dbname']}"


def _check(dsn: str, narrow: int, wide: int) -> None:
    with psycopg.connect(dsn) as conn:
        for table, rows in (("ticks", narrow), ("trades", wide)):
            found = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            if found != (rows,):
                raise RuntimeError(f"{table} has {found} rows instead of {rows}")


def _require_pgloader() -> None:
    if shutil.which("pgloader") is None:
        raise SystemExit("This bench needs pgloader: install it (apt-get install pgloader).")
